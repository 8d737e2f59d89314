//! `GET /accounts`: the list of the accounts that a credential may read.

use hyper::StatusCode;
use serde_json::{Value, json};

use super::account::Account;
use super::auth::Credential;
use super::endpoint::Permission;
use super::page_slice::PageInfo;
use super::response::{Failure, Success, known};
use super::routes::parameter;
use super::scenario::TokenOwner;
use super::world::World;

/// The sizes of a page that Cloudflare documents: the usual one, and the bounds.
const USUAL_SIZE: usize = 20;
const SIZES: std::ops::RangeInclusive<usize> = 5..=50;

impl World {
    /// A page of the list. A token without the permission gets an empty list and no error.
    pub(super) fn listed_accounts(
        &self,
        credential: &Credential,
        query: Option<&str>,
    ) -> Result<Success, Failure> {
        if credential.owner == TokenOwner::Account {
            return Err(Failure::known(StatusCode::BAD_REQUEST, known::ACCOUNT_TOKEN));
        }
        let may_list = credential.has_any(&[Permission::AccountSettings]);
        let listed: Vec<&Account> =
            self.open_accounts().filter(|account| may_list && credential.may_use(&account.id)).collect();
        let number = |name| parameter(query, name).and_then(|text| text.parse::<usize>().ok());
        let page = number("page").filter(|page| *page > 0).unwrap_or(1);
        let size = number("per_page").unwrap_or(USUAL_SIZE).clamp(*SIZES.start(), *SIZES.end());
        let rows = listed.iter().skip((page - 1).saturating_mul(size)).take(size);
        let rows: Vec<Value> = rows.map(|account| row(account)).collect();
        let info = PageInfo::numbered(page, size, rows.len(), listed.len());
        Ok(Success { info: Some(info), ..Success::single(Value::Array(rows)) })
    }
}

fn row(account: &Account) -> Value {
    json!({
        "id": account.id,
        "name": account.name,
        "type": "enterprise",
        "created_on": "2014-03-01T12:21:02.000000Z",
        "settings": {"enforce_twofactor": false},
    })
}

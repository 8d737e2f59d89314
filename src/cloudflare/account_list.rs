//! The accounts that a token may read: `GET /accounts`, in pages.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::credentials::Credentials;
use super::endpoint::Endpoint;
use super::envelope::sanitize;
use super::error::{Error, Kind, MissingGrant};
use super::limit::Budget;
use super::operation::Operation;
use super::options::Options;
use super::request::{Answer, Request};
use super::setup_error::SetupError;
use super::transport::Transport;

/// The largest page of this list. A larger one that is asked for has this size too.
const PAGE_SIZE: u32 = 50;

/// More pages than the accounts of any token have: 10,000 accounts.
const MOST_PAGES: u32 = 200;

/// The longest name that is kept, in characters. It becomes a label.
const LONGEST_NAME: usize = 64;

/// The code of a refusal that means that the token belongs to an account and not to a user.
const ACCOUNT_TOKEN: i64 = 1001;

/// A client that lists accounts; it belongs to none.
#[derive(Clone)]
pub struct AccountsClient {
    transport: Transport,
}

/// An account on the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedAccount {
    /// 32 hexadecimal digits, in lower case.
    pub id: String,
    /// Its name, without characters that must not be shown, and cut to 64 characters; may be empty.
    pub name: String,
}

/// One page.
struct Page {
    accounts: Vec<ListedAccount>,
    total: Option<u64>,
    size: u64,
}

impl AccountsClient {
    /// A client that shares the connections of `endpoint`; requests are charged to `budget`.
    ///
    /// # Errors
    /// The credentials cannot be used.
    pub fn sharing(
        endpoint: &Endpoint,
        credentials: Credentials,
        budget: Budget,
        options: Options,
    ) -> Result<Self, SetupError> {
        Ok(Self { transport: Transport::new(credentials, budget, endpoint.clone(), options)? })
    }

    /// All accounts that the token may read, each once, sorted by id. A token without the permission gets an empty list, so an empty
    /// list does not mean that there are no accounts.
    ///
    /// # Errors
    /// A page failed, a row has no valid id, or the pages do not have as many accounts as they count: the list is whole, or an
    /// error. [`MissingGrant::User`] if the token belongs to an account.
    pub async fn list(&self) -> Result<Vec<ListedAccount>, Error> {
        let operation = Operation::Accounts;
        let first = Request::new(operation, self.transport.base(), &["accounts"]);
        let mut deadline = self.transport.deadline(operation);
        let (mut found, mut expected) = (BTreeMap::new(), None);
        for page in 1..=MOST_PAGES {
            let request = first.page(page, Some(PAGE_SIZE));
            let request = if page == 1 { request } else { request.continuation() };
            let read = self.transport.text(&request, &mut deadline, Page::read).await;
            let Page { accounts, total, size } = read.map_err(of_account_token)?;
            let (received, before) = (accounts.len() as u64, found.len());
            found.extend(accounts.into_iter().map(|account| (account.id, account.name)));
            // A page that counts fewer than one before it does not make the list whole.
            expected = expected.max(total);
            let is_whole = match expected {
                Some(total) => found.len() as u64 >= total,
                None => received < size,
            };
            if is_whole {
                return Ok(found.into_iter().map(|(id, name)| ListedAccount { id, name }).collect());
            }
            if found.len() == before {
                let total = expected.map(|total| format!(" of {total}")).unwrap_or_default();
                let reason = format!("page {page} has no further accounts, after {before}{total}");
                return Err(Error::new(operation, Kind::Shape, reason));
            }
        }
        Err(Error::new(operation, Kind::Shape, format!("the list has more than {MOST_PAGES} pages")))
    }
}

impl Page {
    fn read(mut answer: Answer<()>) -> Result<Self, Error> {
        let operation = Operation::Accounts;
        let (total, size) = (answer.envelope.info.total_count, answer.envelope.info.per_page);
        let rows: Vec<Map<String, Value>> = answer.take_result(operation)?;
        let mut accounts = Vec::new();
        for (index, row) in rows.into_iter().enumerate() {
            let Ok(Row { id, name }) = serde_json::from_value(Value::Object(row)) else {
                return Err(answer.shape_error(operation, &format!("row {} has no id", index + 1)));
            };
            if id.len() != 32 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                let reason = format!("the id of row {} has not 32 hexadecimal digits", index + 1);
                return Err(answer.shape_error(operation, &reason));
            }
            let name = name.as_str().unwrap_or_default().trim();
            let mut name = sanitize(name, LONGEST_NAME - 1);
            name.truncate(name.trim_end().len());
            accounts.push(ListedAccount { id: id.to_ascii_lowercase(), name });
        }
        Ok(Self { accounts, total, size: size.unwrap_or(PAGE_SIZE.into()) })
    }
}

/// The fields of a row that matter.
#[derive(Deserialize)]
struct Row {
    id: String,
    #[serde(default)]
    name: Value,
}

/// The error, with a kind of its own if Cloudflare says in its way that the token belongs to an account.
fn of_account_token(error: Error) -> Error {
    let answered = error.response().filter(|_| error.kind() == Kind::Invalid);
    let answered = answered.filter(|answer| answer.errors.iter().any(|error| error.code == ACCOUNT_TOKEN));
    match answered.cloned() {
        Some(answer) => {
            Error::new(Operation::Accounts, Kind::Forbidden(MissingGrant::User), "").answered(answer)
        }
        None => error,
    }
}

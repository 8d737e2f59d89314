//! Entity tags: a client that names the tag of the answer that it has gets no second copy (RFC 9110, sections 8.8.3 and
//! 13.1.2).

use hyper::header::{HeaderMap, HeaderValue, IF_NONE_MATCH};

/// The tag of an answer. It is weak, because it is the same for the plain and the compressed form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EntityTag(String);

impl EntityTag {
    /// The tag of an answer with this hash of its content.
    pub(super) fn new(hash: u128) -> Self {
        Self(format!("W/\"{hash:032x}\""))
    }

    /// Whether the request says that the client has an answer with this tag.
    pub(super) fn is_known(&self, headers: &HeaderMap) -> bool {
        let listed = headers.get_all(IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
        listed
            .flat_map(|list| list.split(','))
            .map(str::trim)
            .any(|tag| tag == "*" || opaque(tag) == opaque(&self.0))
    }

    pub(super) fn header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).expect("a tag has only hexadecimal digits, quotes, W and a slash")
    }
}

/// The tag without its mark of weakness: both kinds count as equal here.
fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_has_the_answer_if_it_names_the_tag_or_any() {
        let tag = EntityTag::new(0xab);
        let same = "\"000000000000000000000000000000ab\"";
        assert_eq!(tag.header(), format!("W/{same}"));
        for (values, wanted) in [
            (vec![], false),
            (vec![same.to_owned()], true),
            (vec![format!("W/{same}")], true),
            (vec![format!("\"other\" , W/{same}")], true),
            (vec!["\"other\"".to_owned(), same.to_owned()], true),
            (vec!["*".to_owned()], true),
            (vec!["\"other\"".to_owned(), "W/\"ab\"".to_owned()], false),
            (vec![same.replace('"', "")], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in &values {
                headers.append(IF_NONE_MATCH, HeaderValue::from_str(value).unwrap());
            }
            assert_eq!(tag.is_known(&headers), wanted, "{values:?}");
        }
    }
}

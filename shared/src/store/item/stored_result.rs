use super::{
    attribute::{Attributes, REQUEST, RESULT, TTL, number, text},
    key::stored_result_key,
    reader::{CorruptItem, Reader},
};
use crate::domain::{AppId, StoredResult, WriteId};

pub fn from_stored_result(app: AppId, stored: &StoredResult) -> Attributes {
    let mut item = stored_result_key(app, &stored.id);
    item.extend([text(REQUEST, &stored.request), text(RESULT, &stored.result), number(TTL, stored.kept_until)]);
    item
}

pub fn to_stored_result(id: WriteId, item: Attributes) -> Result<StoredResult, CorruptItem> {
    let mut item = Reader::new(item);
    Ok(StoredResult { id, request: item.text(REQUEST)?, result: item.text(RESULT)?, kept_until: item.number(TTL)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{ApiKeyType, ApiKeyValue, Timestamp},
        store::item::{
            attribute::{PK, SK},
            reader::tests::check_each_attribute,
        },
    };

    #[test]
    fn stored_result_keeps_attributes_of_earlier_versions() {
        let api_key = ApiKeyValue::issue(ApiKeyType::Write).unwrap();
        let id = WriteId::new(&api_key.hash(), &"once".parse().unwrap());
        let now: Timestamp = "2026-01-01T00:00:00.000Z".parse().unwrap();
        let stored = StoredResult::new(id.clone(), "request".to_owned(), "result".to_owned(), now);
        let item = from_stored_result(AppId::random(), &stored);
        let mut names: Vec<_> = item.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["answer", "pk", "request", "sk", "ttl"]);
        check_each_attribute(&item, &[PK, SK], |item| {
            let api_key = "another key of any form".parse::<ApiKeyValue>().unwrap();
            to_stored_result(WriteId::new(&api_key.hash(), &"once".parse().unwrap()), item)
        });
        assert_eq!(to_stored_result(id, item), Ok(stored));
    }
}

//! The format of the table's items. Only this module names attributes.

mod api_key;
mod app;
mod attribute;
mod index;
mod key;
mod reader;
mod record;
mod stored_result;

pub use api_key::{api_key_changes, from_api_key, to_api_key, to_api_key_of_app};
pub use app::{AppSummary, SUMMARY, changes, from_app, to_app, to_app_summary};
pub use attribute::{
    APP, Attributes, Changes, EXPIRES_AT, FETCHED_AT, FETCHED_VERSION_ID, LAST_USED_AT, PK, REVOKED_AT, SK, TTL,
    UPDATED_AT, VERSION,
};
pub use index::{IndexItem, from_index, hash_of_index, to_index};
pub use key::{
    API_KEY_SK_PREFIX, APP_SK, api_key_key, api_key_sk, app_key, app_pk, has_sk, index_key, index_key_of,
    stored_result_key, stored_result_sk,
};
pub use reader::CorruptItem;
pub use record::{Record, to_record};
pub use stored_result::{from_stored_result, to_stored_result};

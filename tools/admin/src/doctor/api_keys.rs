use std::collections::HashSet;

use userdocks::{
    domain::{ApiKey, ApiKeyHash, ApiKeyId, AppId, Timestamp},
    store::IndexItem,
};

use super::{
    Doctor,
    finding::{Finding, Repair},
};
use crate::AdminError;

/// The API keys read so far, to find repeated ones.
#[derive(Default)]
pub struct SeenApiKeys {
    app: Option<AppId>,
    /// The ids of `app`'s keys. The items of an app are read one after another.
    ids: HashSet<ApiKeyId>,
    /// The first 16 bytes of the hash of each key without an index item.
    hashes: HashSet<u128>,
}

impl SeenApiKeys {
    /// Reports a second API key of one id. Revoked keys are ignored, because they do no harm.
    pub fn repeated_id(&mut self, app: AppId, key: &ApiKey) -> Option<Finding> {
        if key.revoked_at.is_some() {
            return None;
        }
        if self.app.replace(app) != Some(app) {
            self.ids.clear();
        }
        if self.ids.insert(key.id) {
            return None;
        }
        let detail = "the app has another API key of this id; use `api-key issue` for new ones, then `api-key revoke`, which \
                      revokes both";
        Some(finding("repeated-api-key-id", app, key, detail.to_owned(), None))
    }

    fn is_new_value(&mut self, key: &ApiKey) -> bool {
        let half = key.hash.as_str().get(..32).and_then(|half| u128::from_str_radix(half, 16).ok());
        half.is_none_or(|half| self.hashes.insert(half))
    }
}

/// Checks of API keys and their index items.
impl Doctor<'_> {
    /// Finds keys whose index item is missing or corrupt, or names another app. Revoked keys need no index item.
    pub(super) async fn examine_index_of(
        &self,
        mut keys: Vec<(AppId, ApiKey)>,
        with_corrupt_items: bool,
        seen: &mut SeenApiKeys,
    ) -> Result<Vec<Finding>, AdminError> {
        let now = Timestamp::now();
        keys.retain(|(_, key)| key.revoked_at.is_none() && key.is_listed(now));
        let hashes: HashSet<_> = keys.iter().map(|(_, key)| key.hash.clone()).collect();
        let index = self.services.store.find_index_items(&hashes.into_iter().collect::<Vec<_>>()).await?;
        keys.retain(|(app, key)| !matches!(index.get(&key.hash), Some(Ok(named)) if named == app));
        // A key may have been deleted since it was read.
        let places: Vec<_> = keys.iter().map(|(app, key)| (*app, key.hash.clone())).collect();
        let (keys, _) = self.services.store.find_api_keys_of_apps(&places).await?;
        let mut findings = Vec::new();
        for (app, key) in keys {
            match index.get(&key.hash) {
                Some(Ok(other)) => findings.push(self.foreign_index(app, key, *other).await?),
                // A check of the whole table reports the item when it reads it.
                Some(Err(corrupt)) => findings.extend(with_corrupt_items.then(|| Finding::corrupt_item(corrupt))),
                None if seen.is_new_value(&key) => {
                    let detail = "leak reports and `api-key find` cannot find this API key".to_owned();
                    let repair = Repair::WriteIndex(app, Box::new(key.clone()));
                    findings.push(finding("index-item-missing", app, &key, detail, Some(repair)));
                }
                None => findings.push(repeated_value(app, &key, "another app")),
            }
        }
        Ok(findings)
    }

    async fn foreign_index(&self, app: AppId, key: ApiKey, other: AppId) -> Result<Finding, AdminError> {
        if self.has_key(other, &key.hash).await? {
            return Ok(repeated_value(app, &key, &format!("app {other}")));
        }
        let detail = format!("the index item names app {other}, which does not have the key");
        let repair = Repair::ReplaceIndex(other, app, Box::new(key.clone()));
        Ok(finding("index-item-of-other-app", app, &key, detail, Some(repair)))
    }

    /// Finds index items whose app does not have the key. Items past their `ttl` are ignored: DynamoDB may delete the key
    /// first.
    pub(super) async fn examine_index(&self, mut items: Vec<IndexItem>) -> Result<Vec<Finding>, AdminError> {
        let now = Timestamp::now().seconds_since_epoch();
        items.retain(|item| item.deletable_at.is_none_or(|end| end > now));
        let places: Vec<_> = items.iter().map(|item| (item.app, item.hash.clone())).collect();
        let (keys, _) = self.services.store.find_api_keys_of_apps(&places).await?;
        let found: HashSet<_> = keys.into_iter().map(|(app, key)| (app, key.hash)).collect();
        /// The same length as in findings of corrupt items.
        const SHOWN_OF_HASH: usize = 8;
        let mut findings = Vec::new();
        for (app, hash) in places.into_iter().filter(|place| !found.contains(place)) {
            if self.is_dangling(app, &hash).await? {
                findings.push(Finding {
                    kind: "index-item-without-api-key",
                    app: Some(app),
                    id: format!("APIKEY#{}", hash.as_str().chars().take(SHOWN_OF_HASH).collect::<String>()),
                    detail: "the app does not have the API key, and this item prevents other apps from having it"
                        .to_owned(),
                    repair: Some(Repair::DeleteIndex(app, hash)),
                });
            }
        }
        Ok(findings)
    }

    /// Returns whether the index item still names the app, and the app has no such key, readable or not.
    async fn is_dangling(&self, app: AppId, hash: &ApiKeyHash) -> Result<bool, AdminError> {
        let index = self.services.store.find_index_items(std::slice::from_ref(hash)).await?;
        Ok(matches!(index.get(hash), Some(Ok(named)) if *named == app) && !self.has_key(app, hash).await?)
    }

    async fn has_key(&self, app: AppId, hash: &ApiKeyHash) -> Result<bool, AdminError> {
        let (keys, corrupt) = self.services.store.find_api_keys_of_apps(&[(app, hash.clone())]).await?;
        Ok(!keys.is_empty() || !corrupt.is_empty())
    }
}

fn repeated_value(app: AppId, key: &ApiKey, other: &str) -> Finding {
    let detail = format!(
        "{other} has an API key of the same value, and leak reports find only that one; use `api-key issue` for a new \
         one, then `api-key revoke` for this one"
    );
    finding("repeated-api-key", app, key, detail, None)
}

fn finding(kind: &'static str, app: AppId, key: &ApiKey, detail: String, repair: Option<Repair>) -> Finding {
    Finding { kind, app: Some(app), id: key.id.to_string(), detail, repair }
}

use std::{cmp::Reverse, collections::HashMap};

use futures_util::{StreamExt, stream};
use percent_encoding::percent_decode_str;
use userdocks::{
    api::{Context, Failure},
    domain::{ApiKey, ApiKeyHash, ApiKeyStatus, ApiKeyType, ApiKeyValue, ApiKeys, AppId},
    store::StoreError,
};

/// The distinct tokens of a leak report that may be API keys.
#[derive(Default)]
pub struct Report<'a>(HashMap<ApiKeyHash, Token<'a>>);

struct Token<'a> {
    text: &'a str,
    /// The first reported URL. Anyone can report any URL, so it is not trustworthy.
    url: Option<&'a str>,
}

impl<'a> Report<'a> {
    pub fn add(&mut self, token: &'a str, url: Option<&'a str>) {
        if let Some(key) = ApiKeyValue::from_leak_report(token) {
            let token = self.0.entry(key.hash()).or_insert(Token { text: token, url: None });
            token.url = token.url.or(url);
        }
    }

    /// Revokes the reported keys that are active. A failure fails the request only after all keys were tried.
    pub async fn revoke_keys(&self, cx: &Context) -> Result<(), Failure> {
        /// More at a time would only be throttled.
        const CONCURRENT_REVOCATIONS: usize = 8;
        let hashes: Vec<ApiKeyHash> = self.0.keys().cloned().collect();
        let (keys, corrupt) = cx.services.store.find_api_keys(&hashes).await?;
        let active = keys.into_iter().filter(|(_, key)| key.status(cx.now) == ApiKeyStatus::Active);
        let revoke = async |(app, key): (AppId, ApiKey)| self.revoke(cx, app, &key).await;
        let outcomes: Vec<_> =
            stream::iter(active).map(revoke).buffer_unordered(CONCURRENT_REVOCATIONS).collect().await;
        outcomes.into_iter().collect::<Result<(), _>>()?;
        match corrupt.into_iter().next() {
            Some(corrupt) => Err(StoreError::from(corrupt).into()),
            None => Ok(()),
        }
    }

    async fn revoke(&self, cx: &Context, app: AppId, key: &ApiKey) -> Result<(), Failure> {
        let issued = issued_by(cx, app, key).await;
        let url = self.0.get(&key.hash).and_then(|token| token.url);
        // Before the revocation: if its response is lost, a repeated report does not find the key active.
        tracing::warn!(
            requestId = cx.request.id(),
            appId = %app,
            keyId = %key.id,
            issued,
            untrustedUrl = url.map(|url| self.without_tokens(url)),
            "API key reported as leaked"
        );
        Ok(cx.services.store.revoke_leaked_api_key(app, &key.hash, cx.now).await?)
    }

    /// Replaces all reported tokens in a URL. Decodes the URL if only that shows a token.
    fn without_tokens(&self, url: &str) -> String {
        const MAX_URL_CHARACTERS: usize = 512;
        /// A URL in a parameter of a URL in a parameter of a URL.
        const MAX_ENCODINGS: usize = 3;
        let mut logged = self.replace_tokens(url);
        let mut decoded = logged.clone();
        for _ in 0..MAX_ENCODINGS {
            let encoded = decoded;
            let text = percent_decode_str(&encoded).decode_utf8_lossy();
            decoded = self.replace_tokens(&text);
            if decoded != text {
                logged.clone_from(&decoded);
            }
        }
        logged.chars().take(MAX_URL_CHARACTERS).collect()
    }

    fn replace_tokens(&self, text: &str) -> String {
        let mut tokens: Vec<_> = self.0.values().map(|token| token.text).filter(|token| text.contains(token)).collect();
        // A token may be a part of another one.
        tokens.sort_unstable_by_key(|token| Reverse(token.len()));
        tokens.iter().fold(text.to_owned(), |text, token| text.replace(token, "[key]"))
    }
}

/// Returns the ids of the keys that a leaked write key created, and of the keys that these created in turn. A thief may
/// have their values.
async fn issued_by(cx: &Context, app: AppId, key: &ApiKey) -> String {
    if key.kind == ApiKeyType::Read {
        return String::new();
    }
    match cx.services.store.list_api_keys(app).await {
        Ok((keys, corrupt)) => {
            let keys = ApiKeys::new(keys);
            let ids = keys.issued_by(key.id, None).into_iter().map(|key| key.id.to_string());
            let unreadable = (!corrupt.is_empty()).then(|| format!("({} unreadable)", corrupt.len()));
            ids.chain(unreadable).collect::<Vec<_>>().join(" ")
        }
        Err(error) => format!("unknown: {error}"),
    }
}

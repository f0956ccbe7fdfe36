//! The data that the events under `events/` are made for: apps with fixed ids and keys that are plainly test keys.

use aws_sdk_dynamodb::{Client, error::DisplayErrorContext, types::AttributeValue};
use userdocks::{
    api::Services,
    domain::{
        ApiKey, ApiKeyType, ApiKeyValue, App, AppId, PublicKey, Secret, SecretVersionId, SigningKey, SigningKeyState,
        SigningKeys, Timestamp,
    },
    store::StoreError,
};

use crate::LocalError;

/// An app with every kind of API key and signing key.
pub const APP: &str = "11111111-1111-4111-8111-111111111111";
/// A disabled app.
pub const DISABLED_APP: &str = "22222222-2222-4222-8222-222222222222";
/// An app without signing keys.
pub const KEYLESS_APP: &str = "cccccccc-cccc-4ccc-8ccc-cccccccccccc";
/// An app whose API keys' records lack an attribute, and whose signing key is none.
pub const CORRUPT_APP: &str = "44444444-4444-4444-8444-444444444444";
/// An app that pins a version of its secret which is gone.
pub const UNPINNED_APP: &str = "55555555-5555-4555-8555-555555555555";
/// An app whose signing keys are changed.
pub const CHANGING_APP: &str = "eeeeeeee-eeee-4eee-8eee-eeeeeeeeeeee";
/// An app whose secret is changed.
pub const ROTATING_APP: &str = "ffffffff-ffff-4fff-8fff-ffffffffffff";

/// A read key of [`APP`].
pub const READ_KEY: &str = "ud_read_TESTKEYread0000000000000000000003NjJkP";
/// A write key of [`APP`].
pub const WRITE_KEY: &str = "ud_write_TESTKEYwrite000000000000000000003HU8xA";
/// A revoked read key of [`APP`].
pub const REVOKED_KEY: &str = "ud_read_TESTKEYrevoked0000000000000000004EWumN";
/// An expired read key of [`APP`].
pub const EXPIRED_KEY: &str = "ud_read_TESTKEYexpired0000000000000000001f627w";
/// A read key of [`APP`] that was imported from elsewhere.
pub const IMPORTED_KEY: &str = "imported-test-key-read";
/// A well-formed read key that no app has.
pub const UNKNOWN_KEY: &str = "ud_read_TESTKEYunknown0000000000000000001xrMjS";
/// A read key of [`DISABLED_APP`].
pub const DISABLED_APP_KEY: &str = "ud_read_TESTKEYdisabled000000000000000000ypC7P";
/// A read key of [`KEYLESS_APP`].
pub const KEYLESS_APP_KEY: &str = "ud_read_TESTKEYkeyless0000000000000000002m1GvZ";
/// A read key of [`CORRUPT_APP`].
pub const CORRUPT_APP_KEY: &str = "ud_read_TESTKEYcorrupt0000000000000000000CIzPc";
/// A read key of [`UNPINNED_APP`].
pub const UNPINNED_APP_KEY: &str = "unpinned-test-key-read";
/// A revoked write key of [`APP`].
pub const REVOKED_WRITE_KEY: &str = "ud_write_TESTKEYrevoked0000000000000000001tbwCQ";
/// An expired write key of [`APP`].
pub const EXPIRED_WRITE_KEY: &str = "ud_write_TESTKEYexpired0000000000000000003zwcRF";
/// A well-formed write key that no app has.
pub const UNKNOWN_WRITE_KEY: &str = "ud_write_TESTKEYunknown0000000000000000004Jwwit";
/// A write key of [`DISABLED_APP`].
pub const DISABLED_APP_WRITE_KEY: &str = "ud_write_TESTKEYdisabled000000000000000003Jmvhe";
/// A write key of [`CORRUPT_APP`].
pub const CORRUPT_APP_WRITE_KEY: &str = "ud_write_TESTKEYcorrupt0000000000000000002XEf77";
/// A write key of [`CHANGING_APP`].
pub const CHANGING_APP_WRITE_KEY: &str = "ud_write_TESTKEYchanges0000000000000000003CM8gU";
/// A write key of [`ROTATING_APP`].
pub const ROTATING_APP_WRITE_KEY: &str = "ud_write_TESTKEYrotates0000000000000000000Mkptx";
/// A read key of [`ROTATING_APP`].
pub const ROTATING_APP_READ_KEY: &str = "ud_read_TESTKEYrotates0000000000000000002imhCO";
/// The secret of [`APP`].
pub const SECRET: &str = "test-secret-of-the-fixture-app";

const VERSION: &str = "66666666-6666-4666-8666-666666666666";
const CREATED: &str = "2026-01-01T00:00:00.000Z";
const CHANGED: &str = "2026-02-01T00:00:00.000Z";

/// Makes the fixtures where they are not there yet.
///
/// # Errors
/// A service fails.
pub async fn provision(services: &Services, dynamodb: &Client, table: &str) -> Result<(), LocalError> {
    for (app, keys, secret) in apps().map_err(|error| LocalError::new("the fixtures are malformed", error))? {
        let failed = |error: &dyn std::fmt::Display| LocalError::new("the fixtures can't be made", error);
        if let Some(secret) = secret {
            let put = services.secrets.create_app_secret(app.id, app.secret_version_id, &secret).await;
            put.map_err(|error| failed(&error))?;
        }
        match services.store.create_app(&app, &keys).await {
            Ok(()) | Err(StoreError::Conflict) => {}
            Err(error) => return Err(failed(&error)),
        }
    }
    break_corrupt_app(dynamodb, table).await.map_err(|error| LocalError::new("the fixtures can't be made", error))
}

async fn break_corrupt_app(dynamodb: &Client, table: &str) -> Result<(), Box<dyn std::error::Error>> {
    for (key, kind) in [(CORRUPT_APP_KEY, ApiKeyType::Read), (CORRUPT_APP_WRITE_KEY, ApiKeyType::Write)] {
        let hash = ApiKeyValue::import(key, kind)?.hash();
        let update = dynamodb
            .update_item()
            .table_name(table)
            .key("pk", AttributeValue::S(format!("APP#{CORRUPT_APP}")))
            .key("sk", AttributeValue::S(format!("APIKEY#{}", hash.as_str())))
            .update_expression("REMOVE #type")
            .expression_attribute_names("#type", "type");
        update.send().await.map_err(|error| DisplayErrorContext(error).to_string())?;
    }
    Ok(())
}

type Fixture = (App, Vec<ApiKey>, Option<Secret>);

fn apps() -> Result<Vec<Fixture>, Box<dyn std::error::Error>> {
    let created: Timestamp = CREATED.parse()?;
    let changed: Timestamp = CHANGED.parse()?;
    // A standby key that never becomes old enough.
    let far_future: Timestamp = "2999-01-01T00:00:00.000Z".parse()?;
    let app = |id: &str, name: &str, signing_keys: SigningKeys| -> Result<App, Box<dyn std::error::Error>> {
        let version: SecretVersionId = VERSION.parse()?;
        Ok(App::new(id.parse::<AppId>()?, name.to_owned(), version, signing_keys, created))
    };
    let read = |name: &str, value: &str| api_key(name, value, ApiKeyType::Read, created);
    let write = |name: &str, value: &str| api_key(name, value, ApiKeyType::Write, created);

    let all_keys = vec![
        read("read", READ_KEY)?,
        write("write", WRITE_KEY)?,
        ApiKey { revoked_at: Some(changed), ..read("revoked", REVOKED_KEY)? },
        ApiKey { expires_at: Some(changed), ..read("expired", EXPIRED_KEY)? },
        read("imported", IMPORTED_KEY)?,
        ApiKey { revoked_at: Some(changed), ..write("revoked", REVOKED_WRITE_KEY)? },
        ApiKey { expires_at: Some(changed), ..write("expired", EXPIRED_WRITE_KEY)? },
    ];
    let secret = || Some(Secret::from(SECRET.to_owned()));
    let disabled = App { is_disabled: true, ..app(DISABLED_APP, "Disabled", SigningKeys::default())? };
    Ok(vec![
        (app(APP, "Fixture", signing_keys(created, changed)?)?, all_keys, secret()),
        (disabled, vec![read("read", DISABLED_APP_KEY)?, write("write", DISABLED_APP_WRITE_KEY)?], secret()),
        (app(KEYLESS_APP, "Keyless", SigningKeys::default())?, vec![read("read", KEYLESS_APP_KEY)?], secret()),
        (
            app(CORRUPT_APP, "Corrupt", no_signing_key(created)?)?,
            vec![read("read", CORRUPT_APP_KEY)?, write("write", CORRUPT_APP_WRITE_KEY)?],
            secret(),
        ),
        (
            app(CHANGING_APP, "Changing", signing_keys(created, far_future)?)?,
            vec![write("write", CHANGING_APP_WRITE_KEY)?],
            secret(),
        ),
        (
            app(ROTATING_APP, "Rotating", SigningKeys::default())?,
            vec![read("read", ROTATING_APP_READ_KEY)?, write("write", ROTATING_APP_WRITE_KEY)?],
            secret(),
        ),
        (app(UNPINNED_APP, "Unpinned", SigningKeys::default())?, vec![read("read", UNPINNED_APP_KEY)?], None),
    ])
}

fn api_key(
    name: &str,
    value: &str,
    kind: ApiKeyType,
    created: Timestamp,
) -> Result<ApiKey, userdocks::domain::ApiKeyImportError> {
    Ok(ApiKey::new(&ApiKeyValue::import(value, kind)?, kind, name.to_owned(), created, None))
}

fn no_signing_key(created: Timestamp) -> Result<SigningKeys, Box<dyn std::error::Error>> {
    let framed = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n".to_owned();
    let mut keys = SigningKeys::default();
    keys.import("appkey_bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb".parse()?, PublicKey::from_stored(framed)?, created);
    Ok(keys)
}

fn signing_keys(created: Timestamp, published: Timestamp) -> Result<SigningKeys, Box<dyn std::error::Error>> {
    let key = |id: &str, state, pem: &str, created_at| -> Result<SigningKey, Box<dyn std::error::Error>> {
        Ok(SigningKey {
            id: id.parse()?,
            state,
            public_key: PublicKey::import(pem)?,
            is_imported: true,
            created_at,
            updated_at: CHANGED.parse()?,
        })
    };
    let (revoked, previous, in_use, standby) = (
        include_str!("fixtures/revoked.pem"),
        include_str!("fixtures/previous.pem"),
        include_str!("fixtures/in-use.pem"),
        include_str!("fixtures/standby.pem"),
    );
    Ok(SigningKeys::new(vec![
        key("appkey_77777777-7777-4777-8777-777777777777", SigningKeyState::Revoked, revoked, created)?,
        key("appkey_88888888-8888-4888-8888-888888888888", SigningKeyState::Previous, previous, created)?,
        key("appkey_99999999-9999-4999-8999-999999999999", SigningKeyState::InUse, in_use, CHANGED.parse()?)?,
        key("appkey_aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa", SigningKeyState::Standby, standby, published)?,
    ])
    .map_err(|error| error.to_string())?)
}

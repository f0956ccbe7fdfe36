//! Names for the apps and API keys of `events/apps.json`.

/// An app with every kind of API key and signing key.
pub const APP: &str = "11111111-1111-4111-8111-111111111111";
/// A disabled app.
pub const DISABLED_APP: &str = "22222222-2222-4222-8222-222222222222";
/// An app without signing keys.
pub const KEYLESS_APP: &str = "cccccccc-cccc-4ccc-8ccc-cccccccccccc";
/// An app whose API keys lack an attribute in the table and whose signing key is not a valid one.
pub const CORRUPT_APP: &str = "44444444-4444-4444-8444-444444444444";
/// An app that pins a version of its secret that does not exist.
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

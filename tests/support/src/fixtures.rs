//! Names for the apps and API keys of `events/apps.json`.

/// An app with every kind of API key and signing key.
pub const APP: &str = "11111111-1111-4111-8111-111111111111";
/// An app without signing keys.
pub const KEYLESS_APP: &str = "cccccccc-cccc-4ccc-8ccc-cccccccccccc";
/// An app with corrupt records: its API keys lack an attribute and its signing key is invalid.
pub const CORRUPT_APP: &str = "44444444-4444-4444-8444-444444444444";
/// An app whose record names a version of the secret that does not exist.
pub const UNPINNED_APP: &str = "55555555-5555-4555-8555-555555555555";
/// An app whose signing keys the fixtures change.
pub const CHANGING_APP: &str = "eeeeeeee-eeee-4eee-8eee-eeeeeeeeeeee";
/// An app whose secret the fixtures rotate.
pub const ROTATING_APP: &str = "ffffffff-ffff-4fff-8fff-ffffffffffff";
/// An app whose API keys the fixtures list.
pub const LISTED_APP: &str = "dddddddd-dddd-4ddd-8ddd-dddddddddddd";
/// An app whose API keys the fixtures create, replace, revoke and report as leaked.
pub const ISSUING_APP: &str = "33333333-3333-4333-8333-333333333333";
/// An app whose only API key revokes itself.
pub const LAST_APP: &str = "bbbbbbbb-bbbb-4bbb-8bbb-bbbbbbbbbbbb";
/// An app with one corrupt API key: its record lacks an attribute.
pub const PARTLY_CORRUPT_APP: &str = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa";

/// A read key of [`APP`].
pub const READ_KEY: &str = "ud_read_TESTKEYread0000000000000000000003NjJkP";
/// A write key of [`APP`].
pub const WRITE_KEY: &str = "ud_write_TESTKEYwrite000000000000000000003HU8xA";
/// A revoked read key of [`APP`].
pub const REVOKED_KEY: &str = "ud_read_TESTKEYrevoked0000000000000000004EWumN";
/// An expired read key of [`APP`].
pub const EXPIRED_KEY: &str = "ud_read_TESTKEYexpired0000000000000000001f627w";
/// An imported read key of [`APP`].
pub const IMPORTED_KEY: &str = "imported-test-key-read";
/// A read key that no app has.
pub const UNKNOWN_KEY: &str = "ud_read_TESTKEYunknown0000000000000000001xrMjS";
/// A read key of [`KEYLESS_APP`].
pub const KEYLESS_APP_KEY: &str = "ud_read_TESTKEYkeyless0000000000000000002m1GvZ";
/// A read key of [`CORRUPT_APP`].
pub const CORRUPT_APP_KEY: &str = "ud_read_TESTKEYcorrupt0000000000000000000CIzPc";
/// A read key of [`UNPINNED_APP`].
pub const UNPINNED_APP_KEY: &str = "unpinned-test-key-read";
pub const CORRUPT_APP_WRITE_KEY: &str = "ud_write_TESTKEYcorrupt0000000000000000002XEf77";
pub const CHANGING_APP_WRITE_KEY: &str = "ud_write_TESTKEYchanges0000000000000000003CM8gU";
pub const ROTATING_APP_WRITE_KEY: &str = "ud_write_TESTKEYrotates0000000000000000000Mkptx";
pub const ROTATING_APP_READ_KEY: &str = "ud_read_TESTKEYrotates0000000000000000002imhCO";
/// A read key of [`APP`] that expires and is accepted from 192.0.2.0/24 and 2001:db8::/32 only.
pub const LIMITED_KEY: &str = "ud_read_TESTKEYlimited0000000000000000001ClsUu";
/// A read key of [`LISTED_APP`].
pub const LISTED_APP_KEY: &str = "ud_read_TESTKEYlisted00000000000000000004PCF0j";
pub const LISTED_APP_WRITE_KEY: &str = "ud_write_TESTKEYlisted000000000000000000023Ni8a";
/// A read key of [`LISTED_APP`] with the limits of [`LIMITED_KEY`].
pub const LISTED_APP_LIMITED_KEY: &str = "ud_read_TESTKEYlistedLimited0000000000001oY4rV";
pub const ISSUING_APP_WRITE_KEY: &str = "ud_write_TESTKEYissues00000000000000000001PMam3";
/// A write key of [`ISSUING_APP`] with the limits of [`LIMITED_KEY`].
pub const ISSUING_APP_LIMITED_WRITE_KEY: &str = "ud_write_TESTKEYissuesLimited00000000000045X6Y3";
/// A write key of [`ISSUING_APP`] that replaces itself.
pub const ISSUING_APP_SELF_REPLACING_KEY: &str = "ud_write_TESTKEYissuesSelf0000000000000003E5A4f";
/// A write key of [`ISSUING_APP`] that revokes itself.
pub const ISSUING_APP_SELF_REVOKING_KEY: &str = "ud_write_TESTKEYissuesSelfRevoking00000001UGQHh";
/// A read key of [`ISSUING_APP`] that is reported as leaked.
pub const LEAKED_KEY: &str = "ud_read_TESTKEYleaked00000000000000000003qZcfE";
/// A write key of [`ISSUING_APP`] that is reported as leaked and has created a read key.
pub const LEAKED_WRITE_KEY: &str = "ud_write_TESTKEYleaked00000000000000000001VtUoD";
pub const LAST_APP_WRITE_KEY: &str = "ud_write_TESTKEYlast0000000000000000000000DNZE8";
/// A read key of [`PARTLY_CORRUPT_APP`] that expires.
pub const PARTLY_CORRUPT_APP_KEY: &str = "ud_read_TESTKEYpartlyCorrupt0000000000002SZsKM";
/// A read key of [`PARTLY_CORRUPT_APP`] whose record lacks an attribute.
pub const CORRUPT_LEAKED_KEY: &str = "ud_read_TESTKEYcorruptLeaked00000000000017Vz7p";
/// The secret of [`APP`].
pub const SECRET: &str = "test-secret-of-the-fixture-app";

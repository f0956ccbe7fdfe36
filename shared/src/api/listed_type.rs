use serde::Serialize;

/// The type of a listed key. All types have the same times.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ListedType {
    uuid: &'static str,
    name: &'static str,
    created_at: &'static str,
    updated_at: &'static str,
}

impl ListedType {
    pub const fn new(uuid: &'static str, name: &'static str) -> Self {
        const TYPES_CREATED_AT: &str = "2026-01-01T00:00:00.000Z";
        Self { uuid, name, created_at: TYPES_CREATED_AT, updated_at: TYPES_CREATED_AT }
    }
}

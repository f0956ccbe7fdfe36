use serde_json::json;
use userdocks::{
    api::Services,
    domain::{AllowList, ApiKeyChangeRefused, ApiKeyId, ApiKeyStatus, ApiKeys, AppId, Timestamp},
};

use super::{ALLOW_LIST_NOTE, refused};
use crate::{AdminError, CommandOutput, json::api_key_json};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowListChange {
    /// Accepts the key from any network.
    Clear,
    /// Removes networks before it adds others.
    Edit { add: AllowList, remove: AllowList },
}

/// Changes the allow list of an API key.
///
/// # Errors
/// - The app has no such key, or the key is expired or revoked.
/// - A network to remove is not on the list, the list would become empty, or it would be too long.
/// - A concurrent change won, or DynamoDB fails.
pub async fn change_allow_list(
    services: &Services,
    app: AppId,
    id: ApiKeyId,
    change: AllowListChange,
) -> Result<CommandOutput, AdminError> {
    let now = Timestamp::now();
    let keys = ApiKeys::new(services.store.list_api_keys(app).await?.0);
    let read = keys.get(id).map_err(|cause| refused(app, id, cause))?;
    if keys.iter().filter(|key| key.id == id).count() > 1 {
        return Err(refused(app, id, ApiKeyChangeRefused::AmbiguousId.into()));
    }
    let status = read.status(now);
    if status != ApiKeyStatus::Active {
        return Err(refused(app, id, ApiKeyChangeRefused::NotActive(status).into()));
    }
    let mut changed = read.clone();
    changed.allow_list = edited(&read.allow_list, change)?;
    if changed.allow_list != read.allow_list {
        changed.updated_at = now;
        services.store.change_allow_list(app, read, &changed).await?;
    }
    let note = (!changed.allow_list.is_unrestricted()).then_some(ALLOW_LIST_NOTE);
    Ok(CommandOutput::from(json!({ "apiKey": api_key_json(&changed, now) })).with_note(note))
}

/// Applies a change to a list. Adding a listed network changes nothing, so the command is idempotent. Removing an unlisted
/// network fails, because the operator may have meant another one.
fn edited(list: &AllowList, change: AllowListChange) -> Result<AllowList, AdminError> {
    let AllowListChange::Edit { add, remove } = change else { return Ok(AllowList::default()) };
    let texts = |list: &AllowList| list.networks().map(|network| network.to_string()).collect::<Vec<_>>();
    let mut networks = texts(list);
    for network in texts(&remove) {
        let index = networks.iter().position(|listed| *listed == network);
        networks.remove(index.ok_or(AdminError::NotOnAllowList(network))?);
    }
    for network in texts(&add) {
        if !networks.contains(&network) {
            networks.push(network);
        }
    }
    if networks.is_empty() {
        return Err(AdminError::LastNetwork);
    }
    Ok(AllowList::parse(&networks)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(networks: &[&str]) -> AllowList {
        AllowList::parse(networks).unwrap()
    }

    fn edit(before: &[&str], add: &[&str], remove: &[&str]) -> Result<AllowList, String> {
        let change = AllowListChange::Edit { add: list(add), remove: list(remove) };
        edited(&list(before), change).map_err(|error| error.to_string())
    }

    #[test]
    fn networks_are_added_and_removed() {
        let (first, second, third) = ("10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32");
        assert_eq!(edit(&[], &[first], &[]), Ok(list(&[first])));
        assert_eq!(edit(&[first], &[second, first], &[]), Ok(list(&[first, second])));
        assert_eq!(edit(&[first, second], &[third], &[first]), Ok(list(&[second, third])));
        assert_eq!(edit(&[first], &[second], &[first]), Ok(list(&[second])));
        assert_eq!(edited(&list(&[first]), AllowListChange::Clear).unwrap(), AllowList::default());
    }

    #[test]
    fn dangerous_edit_is_refused() {
        assert!(edit(&["10.0.0.0/8"], &[], &["10.0.0.0/8"]).unwrap_err().contains("--clear"));
        assert!(edit(&["10.0.0.0/16"], &[], &["10.0.0.0/8"]).unwrap_err().contains("10.0.0.0/8"));
        assert!(edit(&[], &[], &["10.0.0.0/8"]).is_err());
        let twenty: Vec<_> = (0..20).map(|number| format!("10.{number}.0.0/16")).collect();
        let twenty: Vec<_> = twenty.iter().map(String::as_str).collect();
        assert!(edit(&twenty, &["192.0.2.0/24"], &[]).unwrap_err().contains("at most 20"));
    }
}

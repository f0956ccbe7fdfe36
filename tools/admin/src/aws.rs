use std::env;

use aws_config::{
    BehaviorVersion, SdkConfig,
    retry::{RetryConfig, RetryMode},
};
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};
use userdocks_admin::AdminError;

/// Reads region, credentials, endpoints and retry settings from the places that the AWS CLI reads. Unlike the SDK, it does
/// not panic on an invalid retry mode or number of attempts, and it treats an empty endpoint as not set.
pub async fn load() -> Result<SdkConfig, AdminError> {
    // Without an explicit retry configuration, the SDK reads the settings and panics if they are invalid.
    let sdk = aws_config::defaults(BehaviorVersion::latest()).retry_config(RetryConfig::standard()).load().await;
    if sdk.region().is_none_or(|region| region.as_ref().trim().is_empty()) {
        return Err(AdminError::NoRegion);
    }
    let settings = Settings(sdk);
    let retry_config = settings.retry_config()?;
    Ok(settings.0.to_builder().retry_config(retry_config).service_config(settings).build())
}

/// The settings of the environment and the profile. An empty setting counts as not set.
#[derive(Debug)]
struct Settings(SdkConfig);

impl Settings {
    fn retry_config(&self) -> Result<RetryConfig, AdminError> {
        let mut retries = RetryConfig::standard();
        if let Some(attempts) = self.load("AWS_MAX_ATTEMPTS", "max_attempts") {
            let number = attempts.trim().parse().ok().filter(|number| *number > 0);
            let number = number.ok_or_else(|| {
                AdminError::Setting(format!(
                    "cannot use AWS_MAX_ATTEMPTS (max_attempts) {attempts:?}: it is not a number of 1 or more"
                ))
            })?;
            retries = retries.with_max_attempts(number);
        }
        match self.load("AWS_RETRY_MODE", "retry_mode").as_deref().map(str::trim) {
            // Only the AWS CLI has a legacy mode; standard has replaced it.
            None | Some("legacy" | "standard") => Ok(retries),
            Some("adaptive") => Ok(retries.with_retry_mode(RetryMode::Adaptive)),
            Some(mode) => Err(AdminError::Setting(format!(
                "cannot use AWS_RETRY_MODE (retry_mode) {mode:?}: it is not standard, adaptive or legacy"
            ))),
        }
    }

    fn load(&self, variable: &str, profile: &str) -> Option<String> {
        let key = ServiceConfigKey::builder().service_id("userdocks-admin").env(variable).profile(profile).build();
        self.load_config(key.ok()?)
    }
}

impl LoadServiceConfig for Settings {
    /// Returns the first setting that is not empty: the service's variable, the variable for all services, the profile.
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let settings = self.0.service_config()?;
        let profile = ServiceConfigKey::builder().service_id(key.service_id()).profile(key.profile()).env("").build();
        let (variable, is_set) = (key.env(), |value: &String| !value.trim().is_empty());
        // None if nothing is set, or if AWS_IGNORE_CONFIGURED_ENDPOINT_URLS is set.
        Some(settings.load_config(key)?)
            .filter(is_set)
            .or_else(|| env::var(variable).ok().filter(is_set))
            .or_else(|| settings.load_config(profile.ok()?).filter(is_set))
    }
}

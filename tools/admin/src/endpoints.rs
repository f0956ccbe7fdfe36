use std::env;

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_types::service_config::ServiceConfigKey;
use userdocks::aws::{Endpoint, MalformedEndpoint};
use userdocks_admin::AdminError;

/// The variable for all services. The variable for one service has the service's id as a suffix.
const VARIABLE: &str = "AWS_ENDPOINT_URL";

/// Checks the endpoints in environment variables before the SDK reads them. The SDK prints a malformed endpoint, or ignores
/// it and calls AWS. A blank variable counts as not set.
///
/// # Errors
/// An endpoint is malformed. The error names the variable, but not its value, which may hold a password.
pub fn check_variables() -> Result<(), AdminError> {
    let services = ["", "_DYNAMODB", "_SECRETS_MANAGER", "_CLOUDFORMATION"];
    for variable in services.map(|service| format!("{VARIABLE}{service}")) {
        let value = env::var_os(&variable).filter(|value| !value.to_string_lossy().trim().is_empty());
        let Some(value) = value else { continue };
        let value = value.into_string().map_err(|_| AdminError::Endpoint {
            setting: variable.clone(),
            problem: "it is not valid UTF-8".to_owned(),
        })?;
        check(&variable, &value)?;
    }
    Ok(())
}

/// Checks the endpoints that the SDK read from the AWS configuration file. Returns DynamoDB's endpoint if one is set.
///
/// # Errors
/// An endpoint is malformed, or session credentials would be sent to an http:// endpoint. The error names the setting, but
/// not its value.
pub async fn check_sdk(sdk: &SdkConfig) -> Result<Option<String>, AdminError> {
    check_service(sdk, "Secrets Manager").await?;
    check_service(sdk, "CloudFormation").await?;
    check_service(sdk, "DynamoDB").await
}

async fn check_service(sdk: &SdkConfig, service: &str) -> Result<Option<String>, AdminError> {
    let key = ServiceConfigKey::builder()
        .service_id(service)
        .env(VARIABLE)
        .profile("endpoint_url")
        .build()
        .map_err(|error| AdminError::Endpoint { setting: service.to_owned(), problem: error.to_string() })?;
    let own = sdk.service_config().and_then(|settings| settings.load_config(key)).filter(|value| !value.is_empty());
    let endpoint = own.or_else(|| sdk.endpoint_url().map(str::to_owned));
    if let Some(endpoint) = &endpoint {
        let setting = format!("endpoint_url for {service} in the AWS configuration");
        if !check(&setting, endpoint)?.is_confidential() && has_session(sdk).await {
            let problem = "an http:// endpoint must not receive session credentials; use https://".to_owned();
            return Err(AdminError::Endpoint { setting, problem });
        }
    }
    Ok(endpoint)
}

/// Returns whether requests carry a session token, which anyone on the network could read and use over plain HTTP.
async fn has_session(sdk: &SdkConfig) -> bool {
    let Some(provider) = sdk.credentials_provider() else { return false };
    // If there are no credentials, the error of the first call gives the cause.
    let credentials = provider.provide_credentials().await;
    credentials.is_ok_and(|credentials| credentials.session_token().is_some_and(|token| !token.is_empty()))
}

fn check(setting: &str, value: &str) -> Result<Endpoint, AdminError> {
    let problem = |problem: MalformedEndpoint| problem.to_string();
    value.parse().map_err(|error| AdminError::Endpoint { setting: setting.to_owned(), problem: problem(error) })
}

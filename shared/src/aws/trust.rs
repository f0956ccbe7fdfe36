use std::{fs, path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};

/// The five Amazon Trust Services roots, to which the certificates of all AWS endpoints chain. Reading the system's 140
/// roots costs 5 ms of each cold start.
///
/// They come from <https://www.amazontrust.com/repository/>, which also publishes the SHA-256 of each root's public
/// key. A test compares them.
const AMAZON_ROOTS: &[u8] = include_bytes!("amazon-roots.pem");

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot use AWS_CA_BUNDLE {path}: {reason}")]
    CaBundle { path: String, reason: String },
    #[error("cannot set up TLS: {0}")]
    SetUp(String),
}

/// Returns a TLS configuration that trusts Amazon's roots and the certificates of `ca_bundle`. Fails if the bundle is not
/// readable, has no certificate, or has a malformed one.
pub fn tls_config(ca_bundle: Option<&Path>) -> Result<ClientConfig, TlsError> {
    let mut trusted = RootCertStore::empty();
    add(&mut trusted, AMAZON_ROOTS).map_err(TlsError::SetUp)?;
    if let Some(path) = ca_bundle {
        let fail = |reason| TlsError::CaBundle { path: path.display().to_string(), reason };
        let pem = fs::read(path).map_err(|error| fail(error.to_string()))?;
        add(&mut trusted, &pem).map_err(fail)?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| TlsError::SetUp(error.to_string()))?;
    Ok(builder.with_root_certificates(trusted).with_no_client_auth())
}

fn add(trusted: &mut RootCertStore, pem: &[u8]) -> Result<(), String> {
    let before = trusted.len();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        trusted.add(certificate.map_err(|error| error.to_string())?).map_err(|error| error.to_string())?;
    }
    if trusted.len() == before { Err("it has no certificate".to_owned()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use ::aws_lc_rs::digest::{SHA256, digest};

    use super::*;
    use crate::domain::hexadecimal;

    /// "SHA-256 Hash of Subject Public Key Information", as <https://www.amazontrust.com/repository/> lists them.
    const PUBLISHED: [&str; 5] = [
        "fbe3018031f9586bcbf41727e417b7d1c45c2f47f93be372a17b96b50757d5a2",
        "7f4296fc5b6a4e3b35d3c369623e364ab1af381d8fa7121533c9d6c633ea2461",
        "36abc32656acfc645c61b71613c4bf21c787f5cabbee48348d58597803d7abc9",
        "f7ecded5c66047d28ed6466b543c40e0743abe81d109254dcf845d4c2c7853c5",
        "2b071c59a0a0ae76b0eadb2bad23bad4580b69c3601b630c2eaf0613afa83f92",
    ];

    #[test]
    fn roots_equal_those_amazon_publishes() {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(AMAZON_ROOTS) {
            roots.add(certificate.unwrap()).unwrap();
        }
        let hashes: Vec<String> = roots
            .roots
            .iter()
            .map(|root| hexadecimal(digest(&SHA256, &der_sequence(&root.subject_public_key_info)).as_ref()))
            .collect();
        assert_eq!(hashes, PUBLISHED);
    }

    /// A trust anchor holds its key's SubjectPublicKeyInfo without the outer SEQUENCE (RFC 5280, section 4.1).
    fn der_sequence(content: &[u8]) -> Vec<u8> {
        let length = match content.len() {
            length @ 0..128 => vec![u8::try_from(length).unwrap()],
            length @ 128..256 => vec![0x81, u8::try_from(length).unwrap()],
            length => [&[0x82][..], &u16::try_from(length).unwrap().to_be_bytes()].concat(),
        };
        [&[0x30], &length[..], content].concat()
    }

    #[test]
    fn unusable_ca_bundle_is_rejected_with_its_name() {
        assert!(tls_config(None).is_ok());
        let mut bundle = tempfile::NamedTempFile::new().unwrap();
        let error = |path: &Path| tls_config(Some(path)).unwrap_err().to_string();
        assert!(error(Path::new("/no/such/file")).starts_with("cannot use AWS_CA_BUNDLE /no/such/file: No such file"));
        assert!(error(bundle.path()).ends_with("it has no certificate"));
        bundle.write_all(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
        assert!(error(bundle.path()).contains("certificate"));
        let good = tempfile::NamedTempFile::new().unwrap();
        fs::write(&good, AMAZON_ROOTS).unwrap();
        assert!(tls_config(Some(good.path())).is_ok());
    }
}

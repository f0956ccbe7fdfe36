use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rsa::{KeySize, PrivateDecryptingKey},
};
use pem_rfc7468::LineEnding;

use super::PublicKey;
use crate::domain::{NoRandomness, Secret};

/// The public and the private half of a new RSA-4096 key.
#[derive(Debug)]
pub struct GeneratedSigningKey {
    pub public_key: PublicKey,
    /// For Secrets Manager only: PKCS#8 PEM (RFC 5208, RFC 7468).
    pub private_key: Secret,
}

impl GeneratedSigningKey {
    const PRIVATE_KEY_LABEL: &str = "PRIVATE KEY";

    /// Generates an RSA-4096 key. It takes about a second of CPU.
    pub fn generate() -> Result<Self, NoRandomness> {
        let key = PrivateDecryptingKey::generate(KeySize::Rsa4096).map_err(|_| NoRandomness)?;
        let pkcs8: Pkcs8V1Der<'_> = key.as_der().map_err(|_| NoRandomness)?;
        let private_key = pem_rfc7468::encode_string(Self::PRIVATE_KEY_LABEL, LineEnding::LF, pkcs8.as_ref())
            .map_err(|_| NoRandomness)?;
        Ok(Self { public_key: PublicKey::from_key(&key.public_key())?, private_key: Secret::from(private_key) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_key_is_rsa_4096_in_contract_form() {
        let generated = GeneratedSigningKey::generate().unwrap();
        let public = generated.public_key.as_pem();
        assert_eq!(PublicKey::import(public), Ok(generated.public_key.clone()));
        assert_eq!(PublicKey::from_stored(public.to_owned()), Ok(generated.public_key.clone()));
        let (label, der) = pem_rfc7468::decode_vec(generated.private_key.expose().as_bytes()).unwrap();
        let private = PrivateDecryptingKey::from_pkcs8(&der).unwrap();
        assert_eq!((label, private.key_size_bits()), ("PRIVATE KEY", 4096));
        assert_eq!(PublicKey::from_key(&private.public_key()).unwrap(), generated.public_key);
    }
}

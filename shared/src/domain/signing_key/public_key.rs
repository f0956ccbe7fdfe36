use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rsa::{self, PublicEncryptingKey},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use pem_rfc7468::LineEnding;

use super::pem::{self, PublicKeyImportError, SPKI_LABEL};
use crate::domain::NoRandomness;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an RSA public key of 2048 to 8192 bits as SPKI PEM (-----BEGIN PUBLIC KEY-----)")]
pub struct MalformedPublicKey;

/// An RSA public key: SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7) in PEM (RFC 7468) with `\n` line ends and a
/// trailing one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(String);

impl PublicKey {
    /// Converts an RSA public key of 2048 to 8192 bits from any common form to the contract's form.
    pub fn import(text: &str) -> Result<Self, PublicKeyImportError> {
        let key = pem::read(text)?;
        let der: PublicKeyX509Der<'_> = key.as_der().map_err(|_| PublicKeyImportError::NotAKey)?;
        // Parsing DER checks more than building a key from its numbers.
        let key = PublicEncryptingKey::from_der(der.as_ref()).map_err(|_| PublicKeyImportError::NotAKey)?;
        Self::from_key(&key).map_err(|NoRandomness| PublicKeyImportError::NotAKey)
    }

    /// Accepts a key from the table. Checks only the first and the last line, because every key is checked before it is
    /// stored.
    pub fn from_stored(pem: String) -> Result<Self, MalformedPublicKey> {
        let framed = pem.starts_with("-----BEGIN PUBLIC KEY-----\n") && pem.ends_with("\n-----END PUBLIC KEY-----\n");
        if framed { Ok(Self(pem)) } else { Err(MalformedPublicKey) }
    }

    #[must_use]
    pub fn as_pem(&self) -> &str {
        &self.0
    }

    /// Returns the modulus and the exponent in the form of a JWK (RFC 7518, section 6.3.1): big-endian, base64url.
    /// Fails if the stored text is not a valid RSA public key.
    pub fn jwk_components(&self) -> Result<(String, String), MalformedPublicKey> {
        let (_, der) = pem_rfc7468::decode_vec(self.0.as_bytes()).map_err(|_| MalformedPublicKey)?;
        let key = rsa::PublicKey::from_der(&der).map_err(|_| MalformedPublicKey)?;
        let encode =
            |number: aws_lc_rs::io::Positive<'_>| URL_SAFE_NO_PAD.encode(number.big_endian_without_leading_zero());
        Ok((encode(key.modulus()), encode(key.exponent())))
    }

    pub(super) fn from_key(key: &PublicEncryptingKey) -> Result<Self, NoRandomness> {
        let der: PublicKeyX509Der<'_> = key.as_der().map_err(|_| NoRandomness)?;
        pem_rfc7468::encode_string(SPKI_LABEL, LineEnding::LF, der.as_ref()).map(Self).map_err(|_| NoRandomness)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RSA_2048: &str = include_str!("../testdata/rsa-2048.pem");
    const RSA_1024: &str = include_str!("../testdata/rsa-1024.pem");
    const EC_P256: &str = include_str!("../testdata/ec-p256.pem");

    #[test]
    fn imported_key_gets_contract_form() {
        let with_windows_line_ends = RSA_2048.replace('\n', "\r\n");
        assert_eq!(PublicKey::import(&with_windows_line_ends).unwrap().as_pem(), RSA_2048);
        assert_eq!(PublicKey::import(RSA_2048.trim_end()).unwrap().as_pem(), RSA_2048);
    }

    #[test]
    fn ber_of_indefinite_length_is_read() {
        let (_, spki) = pem_rfc7468::decode_vec(RSA_2048.as_bytes()).unwrap();
        let sequence_of_numbers = spki.windows(4).rposition(|header| header[..2] == [0x30, 0x82]).unwrap();
        let numbers = &spki[sequence_of_numbers + 4..];
        let indefinite = pkcs1(&[&[0x30, 0x80], numbers, &[0, 0]].concat());
        assert_eq!(PublicKey::import(&indefinite).unwrap().as_pem(), RSA_2048);
    }

    /// A PKCS#1 block.
    fn pkcs1(der: &[u8]) -> String {
        pem_rfc7468::encode_string("RSA PUBLIC KEY", LineEnding::LF, der).unwrap()
    }

    #[test]
    fn rejected_public_key_has_reason() {
        use PublicKeyImportError as Error;
        let relabelled = RSA_2048.replace("PUBLIC KEY", "RSA PUBLIC KEY");
        let bits_2047 = pkcs1(&[&[0x30, 0x82, 1, 9, 2, 0x82, 1, 0][..], &[0x7f; 256], &[2, 3, 1, 0, 1]].concat());
        for (text, error) in [
            ("", Error::NoPublicKey),
            ("no key", Error::NoPublicKey),
            (&RSA_2048[..RSA_2048.len() / 2], Error::Unreadable),
            (&RSA_2048.replace("MII", "MI!"), Error::Unreadable),
            (&relabelled, Error::Unreadable),
            (RSA_1024, Error::Size(1024)),
            (&bits_2047, Error::Size(2047)),
            (EC_P256, Error::NotRsa),
            (&RSA_2048.replace("PUBLIC KEY", "PARAMETERS"), Error::NoPublicKey),
            (&RSA_2048.replace("PUBLIC", "PRIVATE"), Error::PrivateKey),
            (&RSA_2048.replace("PUBLIC KEY", "CERTIFICATE"), Error::Certificate),
        ] {
            assert_eq!(PublicKey::import(text), Err(error), "{text}");
        }
        for cut in ["no key", RSA_2048.trim_end(), &RSA_2048[1..]] {
            assert_eq!(PublicKey::from_stored(cut.to_owned()), Err(MalformedPublicKey));
        }
    }

    #[test]
    fn jwk_has_modulus_and_exponent_of_key() {
        let (n, e) = PublicKey(RSA_2048.to_owned()).jwk_components().unwrap();
        assert_eq!((n.len(), e.as_str()), (342, "AQAB"));
        assert_eq!(PublicKey(String::new()).jwk_components(), Err(MalformedPublicKey));
    }
}

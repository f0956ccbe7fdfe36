use aws_lc_rs::rsa::{PublicEncryptingKey, PublicKeyComponents};
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// The reason that a public key is not imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublicKeyImportError {
    #[error("no public key in PEM (-----BEGIN PUBLIC KEY----- or -----BEGIN RSA PUBLIC KEY-----)")]
    NoPublicKey,
    #[error("a private key, which must stay secret; import what `openssl pkey -pubout` prints for it")]
    PrivateKey,
    #[error("a certificate; import what `openssl x509 -pubkey -noout` prints for it")]
    Certificate,
    #[error("the PEM block is not complete, or does not hold a public key")]
    Unreadable,
    #[error("not an RSA public key; tokens are signed with RS256")]
    NotRsa,
    #[error("the RSA key has {0} bits; 2048 to 8192 are allowed")]
    Size(usize),
    #[error("the numbers in it are not an RSA public key")]
    NotAKey,
}

/// Parses the first public key in a text. Accepts every form that both OpenSSL and Node.js accept: text around the
/// block, lines of any length, SubjectPublicKeyInfo, PKCS#1 (RFC 8017, appendix A.1.1) and BER.
pub fn read(text: &str) -> Result<PublicEncryptingKey, PublicKeyImportError> {
    let (label, body) = public_key_block(text)?;
    let body: Vec<u8> = body.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let padding = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let der = GeneralPurpose::new(&STANDARD, padding).decode(body).map_err(|_| PublicKeyImportError::Unreadable)?;
    let rsa_key = if label == PKCS1_LABEL { Some(der.as_slice()) } else { rsa_key_in_spki(&der)? };
    let (modulus, exponent) = rsa_key.and_then(numbers).ok_or(PublicKeyImportError::Unreadable)?;
    match bits(modulus) {
        2048..=8192 => {}
        bits => return Err(PublicKeyImportError::Size(bits)),
    }
    PublicKeyComponents { n: modulus, e: exponent }.try_into().map_err(|_| PublicKeyImportError::NotAKey)
}

pub const SPKI_LABEL: &str = "PUBLIC KEY";
const PKCS1_LABEL: &str = "RSA PUBLIC KEY";

/// Returns the label and the body of the first block with a public key.
fn public_key_block(text: &str) -> Result<(&str, &str), PublicKeyImportError> {
    let mut other = PublicKeyImportError::NoPublicKey;
    let mut rest = text;
    while let Some((label, behind)) = rest.split_once("-----BEGIN ").and_then(|(_, rest)| rest.split_once("-----")) {
        match label {
            SPKI_LABEL | PKCS1_LABEL => {
                let body = behind.split_once(&format!("-----END {label}-----"));
                return body.map(|(body, _)| (label, body)).ok_or(PublicKeyImportError::Unreadable);
            }
            "CERTIFICATE" => other = PublicKeyImportError::Certificate,
            _ if label.ends_with("PRIVATE KEY") => other = PublicKeyImportError::PrivateKey,
            _ => {}
        }
        rest = behind;
    }
    Err(other)
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 2;
const BIT_STRING: u8 = 3;
const OBJECT_IDENTIFIER: u8 = 6;

/// Returns the key inside a SubjectPublicKeyInfo (RFC 5280, section 4.1.2.7).
fn rsa_key_in_spki(der: &[u8]) -> Result<Option<&[u8]>, PublicKeyImportError> {
    /// rsaEncryption, 1.2.840.113549.1.1.1.
    const RSA_ENCRYPTION: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
    let (info, _) = element(SEQUENCE, der).ok_or(PublicKeyImportError::Unreadable)?;
    let (algorithm, key) = element(SEQUENCE, info).ok_or(PublicKeyImportError::Unreadable)?;
    match element(OBJECT_IDENTIFIER, algorithm) {
        Some((algorithm, _)) if algorithm == RSA_ENCRYPTION => {}
        Some(_) => return Err(PublicKeyImportError::NotRsa),
        None => return Err(PublicKeyImportError::Unreadable),
    }
    // The first byte counts the unused bits of the last one.
    Ok(element(BIT_STRING, key).and_then(|(bits, _)| bits.strip_prefix(&[0])))
}

/// Returns the modulus and the exponent, without leading zeros.
fn numbers(rsa_key: &[u8]) -> Option<(&[u8], &[u8])> {
    let (key, _) = element(SEQUENCE, rsa_key)?;
    let (modulus, rest) = element(INTEGER, key)?;
    let (exponent, _) = element(INTEGER, rest)?;
    Some((without_zeros(modulus), without_zeros(exponent)))
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

fn bits(number: &[u8]) -> usize {
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

/// Returns the content of the input's first element, and the rest of the input. As in BER, a length may have more bytes
/// than necessary. An indefinite length takes all of the input as content.
fn element(tag: u8, input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = input.strip_prefix(&[tag])?.split_first()?;
    match first {
        0x80 => Some((rest, &[])),
        0..0x80 => rest.split_at_checked(first.into()),
        _ => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = digits
                .iter()
                .try_fold(0_usize, |length, digit| length.checked_mul(256)?.checked_add(usize::from(*digit)))?;
            rest.split_at_checked(length)
        }
    }
}

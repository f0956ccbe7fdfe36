//! Public keys with any content, imported and published.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use userdocks::domain::PublicKey;

/// If the first byte is even, the rest is a PEM text. If it is odd, the rest is the DER inside a PEM.
pub fn check(input: &[u8]) {
    let Some((form, key)) = input.split_first() else { return };
    let text = if form % 2 == 0 { String::from_utf8_lossy(key).into_owned() } else { pem(key) };
    if let Ok(imported) = PublicKey::import(&text) {
        assert_eq!(PublicKey::import(imported.as_pem()), Ok(imported.clone()));
        assert_eq!(PublicKey::from_stored(imported.as_pem().to_owned()), Ok(imported.clone()));
        let (modulus, exponent) = imported.jwk_components().expect("an imported key can be published");
        let (modulus, exponent) = (number(&modulus), number(&exponent));
        let bits = modulus.len() * 8 - modulus[0].leading_zeros() as usize;
        assert!((2048..=8192).contains(&bits), "{bits} bits");
        let [modulus_is_odd, exponent_is_odd] = [&modulus, &exponent].map(|number| number.last().unwrap() % 2 == 1);
        assert!(modulus_is_odd && exponent_is_odd && exponent != [1], "{exponent:?}");
        assert_eq!(imported.as_pem(), pem(&subject_public_key_info(&modulus, &exponent)), "the same key, in one form");
    }
    if let Ok(stored) = PublicKey::from_stored(text.clone()) {
        assert_eq!(stored.as_pem(), text);
        // The table may contain anything, but only valid keys are published.
        if let Ok((modulus, exponent)) = stored.jwk_components() {
            assert!(!number(&modulus).is_empty() && !number(&exponent).is_empty());
        }
    }
}

fn number(base64url: &str) -> Vec<u8> {
    let number = URL_SAFE_NO_PAD.decode(base64url).unwrap();
    assert_ne!(number[0], 0, "RFC 7518, section 2: no leading zeros");
    number
}

/// RFC 7468, section 13.
fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
}

/// RFC 3279, section 2.3.1, in DER.
fn subject_public_key_info(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    const RSA_ENCRYPTION: [u8; 15] = [0x30, 13, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0];
    const SEQUENCE: u8 = 0x30;
    let key = element(SEQUENCE, &[integer(modulus), integer(exponent)].concat());
    let bits = element(3, &[&[0], key.as_slice()].concat());
    element(SEQUENCE, &[RSA_ENCRYPTION.as_slice(), &bits].concat())
}

fn integer(number: &[u8]) -> Vec<u8> {
    let sign: &[u8] = if number[0] < 0x80 { &[] } else { &[0] };
    element(2, &[sign, number].concat())
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = match u16::try_from(content.len()).unwrap().to_be_bytes() {
        [0, short @ ..0x80] => vec![short],
        [0, long] => vec![0x81, long],
        long => [&[0x82], long.as_slice()].concat(),
    };
    [&[tag], length.as_slice(), content].concat()
}

//! The functions' arm64 binaries on a fake AWS, run natively or with a user-mode emulator. `make test-arm64` builds them and
//! runs these tests.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::{env, fs, path::PathBuf};

use object::{
    Endianness,
    elf::{DF_TEXTREL, DT_FLAGS, DT_TEXTREL, EM_AARCH64, FileHeader64},
    read::elf::{Dyn, FileHeader},
};
use userdocks_test_support::{
    aws::FakeAws,
    contract::{FUNCTIONS, Fixture, read_payload},
    function::Function,
    project,
};

/// The version of glibc in the runtime `provided.al2023`.
const GLIBC: [u32; 2] = [2, 34];

/// Returns the functions with a binary, and their binaries.
fn built() -> Vec<(&'static str, PathBuf)> {
    let folder = project().join("target/lambda-arm64");
    let file = |name| (name, folder.join(name).join("bootstrap"));
    let built: Vec<_> = FUNCTIONS.into_iter().map(file).filter(|(_, file)| file.is_file()).collect();
    assert!(!built.is_empty(), "no function in {}: run `make test-arm64`", folder.display());
    built
}

/// Returns the command that runs an arm64 binary. It is empty on an arm64 machine.
fn runner() -> Vec<String> {
    let runner = env::var("ARM64_RUNNER").unwrap_or_default();
    assert!(
        cfg!(target_arch = "aarch64") || !runner.is_empty(),
        "set ARM64_RUNNER to a user-mode emulator, such as `qemu-aarch64 -L /usr/aarch64-linux-gnu`"
    );
    runner.split_whitespace().map(str::to_owned).collect()
}

/// Returns the versions of glibc's symbols that a binary needs.
fn glibc_versions(header: &FileHeader64<Endianness>, data: &[u8]) -> Vec<[u32; 2]> {
    let endian = header.endian().unwrap();
    let sections = header.sections(endian, data).unwrap();
    let (mut libraries, strings) = sections.gnu_verneed(endian, data).unwrap().expect("versions of symbols");
    let strings = sections.strings(endian, data, strings).unwrap();
    let mut versions = Vec::new();
    while let Some((_, mut needed)) = libraries.next().unwrap() {
        while let Some(version) = needed.next().unwrap() {
            let name = str::from_utf8(version.name(endian, strings).unwrap()).unwrap();
            let Some(number) = name.strip_prefix("GLIBC_") else { continue };
            let mut parts = number.split('.').map(|part| part.parse().unwrap());
            versions.push([parts.next().unwrap(), parts.next().unwrap()]);
        }
    }
    versions
}

/// Returns whether the loader has to change the binary's code.
fn has_text_relocations(header: &FileHeader64<Endianness>, data: &[u8]) -> bool {
    let endian = header.endian().unwrap();
    let (dynamic, _) =
        header.sections(endian, data).unwrap().dynamic(endian, data).unwrap().expect("a dynamic section");
    dynamic.iter().any(|entry| {
        let (tag, value) = (entry.d_tag(endian), entry.d_val(endian));
        tag == DT_TEXTREL || tag == DT_FLAGS && value & DF_TEXTREL.0 != 0
    })
}

#[test]
fn binary_loads_on_provided_al2023() {
    for (name, file) in built() {
        let data = fs::read(&file).unwrap();
        let header = FileHeader64::<Endianness>::parse(&*data).unwrap();
        assert_eq!(header.e_machine(header.endian().unwrap()), EM_AARCH64, "{name}");
        let versions = glibc_versions(header, &data);
        println!("{name}: {} bytes, glibc {:?}", data.len(), versions.iter().max());
        assert!(!versions.is_empty() && versions.iter().all(|version| *version <= GLIBC), "{name}: {versions:?}");
        assert!(!has_text_relocations(header, &data), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fixture_gets_exact_response() {
    let (aws, runner) = (FakeAws::with_fixtures().await, runner());
    for (name, file) in built() {
        let command = [runner.clone(), vec![file.display().to_string()]].concat();
        let mut function = Function::start_command(&command, name, &aws.environment()).await;
        for fixture in Fixture::of(name) {
            // On an emulated processor, generating an RSA-4096 key takes longer than the route's deadline.
            if name == "post-app-keys" && fixture.status() == 201 && !runner.is_empty() {
                continue;
            }
            fixture.assert_response(read_payload(&function.invoke(&fixture.event).await).0);
        }
    }
}

//! What an executable is made for, read from its ELF header (System V ABI, chapter 4), so that no package ever claims an
//! architecture that its contents do not have, and nothing that needs libraries of its node gets shipped.

use std::path::Path;

use crate::error::Error;

/// Program header type: the path of the loader.
const PT_INTERP: u32 = 3;

/// What executables are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// 64-bit x86.
    X86_64,
    /// 64-bit ARM.
    Aarch64,
}

impl Architecture {
    /// As RPM and Rust call it.
    pub fn rpm(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    /// As dpkg and container images call it.
    pub fn deb(self) -> &'static str {
        match self {
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }
}

/// The architecture of a static executable.
///
/// # Errors
/// What is no static 64-bit executable of an architecture that is shipped.
pub fn examine(path: &Path, bytes: &[u8]) -> Result<Architecture, Error> {
    let wrong = |problem| Error::Executable { path: path.to_owned(), problem };
    // Magic, 64 bits, little-endian.
    if bytes.get(..6) != Some(&[0x7f, b'E', b'L', b'F', 2, 1]) {
        return Err(wrong("is no 64-bit ELF executable"));
    }
    let truncated = || wrong("is cut short");
    let small = |offset: usize| Some(u16::from_le_bytes(bytes.get(offset..offset + 2)?.try_into().ok()?));
    let architecture = match small(18) {
        Some(62) => Architecture::X86_64,
        Some(183) => Architecture::Aarch64,
        _ => return Err(wrong("is for an architecture that is not shipped")),
    };
    let table = bytes.get(32..40).and_then(|field| field.try_into().ok()).map(u64::from_le_bytes);
    let table = table.and_then(|offset| usize::try_from(offset).ok()).ok_or_else(truncated)?;
    let size = usize::from(small(54).ok_or_else(truncated)?);
    let count = usize::from(small(56).ok_or_else(truncated)?);
    for index in 0..count {
        let start = size.checked_mul(index).and_then(|offset| offset.checked_add(table));
        let kind = start.and_then(|start| bytes.get(start..start.checked_add(4)?)?.try_into().ok());
        if u32::from_le_bytes(kind.ok_or_else(truncated)?) == PT_INTERP {
            return Err(wrong("is linked dynamically: ci/package makes the static build"));
        }
    }
    Ok(architecture)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with one program header of this type.
    fn executable(machine: u8, kind: u8) -> Vec<u8> {
        let mut bytes = vec![0; 64 + 56];
        bytes[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1]);
        (bytes[18], bytes[32], bytes[54], bytes[56], bytes[64]) = (machine, 64, 56, 1, kind);
        bytes
    }

    #[test]
    fn static_executables_tell_what_they_run_on() {
        assert_eq!(examine(Path::new("x"), &executable(62, 1)).unwrap(), Architecture::X86_64);
        assert_eq!(examine(Path::new("x"), &executable(183, 1)).unwrap(), Architecture::Aarch64);
    }

    #[test]
    fn dynamic_foreign_and_broken_executables_are_refused() {
        let mut endless = executable(62, 1);
        endless[57] = 0xff;
        for bytes in [executable(62, 3), executable(40, 1), endless, b"#!/bin/sh".to_vec(), vec![]] {
            assert!(examine(Path::new("x"), &bytes).is_err());
        }
    }
}

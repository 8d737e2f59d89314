//! Reads files that the user names, up to a bound of bytes and time: `/dev/zero` and a pipe without a writer must end in a
//! message.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::config::{LOAD_WAIT, read_within};

const MIB: u64 = 1 << 20;

/// Reads a file of at most `most_mib` MiB.
///
/// # Errors
/// The file cannot be read in time, or is longer.
pub(crate) fn read(path: &Path, most_mib: u64) -> io::Result<Vec<u8>> {
    let path = path.to_owned();
    let read = move || read_whole(&path, most_mib);
    read_within("input file", LOAD_WAIT, read).unwrap_or_else(|why| Err(io::Error::other(why)))
}

fn read_whole(path: &Path, most_mib: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most_mib * MIB + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most_mib * MIB {
        return Err(io::Error::other(format!("it is longer than {most_mib} MiB")));
    }
    Ok(bytes)
}

/// Reads a text file of at most `most_mib` MiB.
///
/// # Errors
/// The file cannot be read, is longer, or is not UTF-8 text.
pub(crate) fn read_text(path: &Path, most_mib: u64) -> io::Result<String> {
    String::from_utf8(read(path, most_mib)?).map_err(|_| io::Error::other("it is not UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_up_to_its_bound() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        for (length, wanted) in
            [(0, Ok(0)), (MIB, Ok(MIB)), (MIB + 1, Err("it is longer than 1 MiB".to_owned()))]
        {
            std::fs::write(&path, vec![b'x'; length as usize]).unwrap();
            let found = read_text(&path, 1).map(|text| text.len() as u64).map_err(|error| error.to_string());
            assert_eq!(found, wanted);
        }
        assert_eq!(read(Path::new("/dev/zero"), 1).unwrap_err().to_string(), "it is longer than 1 MiB");
        std::fs::write(&path, b"\xff").unwrap();
        assert_eq!(read_text(&path, 1).unwrap_err().to_string(), "it is not UTF-8 text");
    }
}

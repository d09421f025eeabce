//! Files that are looked at again and again: whether one has changed is told without reading it.
//!
//! They are looked at, and not watched by way of the system's notifications: those tell nothing of what another host writes to
//! a network file system, and follow no symbolic link, by which Kubernetes swaps the files of a ConfigMap; whoever watches by
//! them needs a look at times anyway. A look opens the file, by which a network file system asks its server, too.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file as it was at one look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedFile {
    path: PathBuf,
    /// Nothing where it could not be opened.
    stamp: Option<FileStamp>,
}

/// What changes with the content. The time of change can't be set by whoever copies a file with its time of modification, and
/// a file that takes the place of another is another one of the device.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FileStamp {
    device: u64,
    number: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl WatchedFile {
    /// As it is now. Blocks.
    pub fn look(path: PathBuf) -> WatchedFile {
        let metadata = File::open(&path).and_then(|file| file.metadata());
        let stamp = metadata.ok().map(|metadata| FileStamp {
            device: metadata.dev(),
            number: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        });
        WatchedFile { path, stamp }
    }

    /// Where it is, if it could be opened: what names no file may be a secret in the wrong place, and is not told.
    pub fn opened_path(&self) -> Option<&Path> {
        self.stamp.as_ref().map(|_| self.path.as_path())
    }

    /// The same file as it is now. Blocks.
    pub fn again(&self) -> WatchedFile {
        WatchedFile::look(self.path.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn whatever_way_a_content_is_changed_in_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let write = |name: &str, text: &str| fs::write(path(name), text).unwrap();
        write("v1", "one");
        write("v2", "two");
        symlink(path("v1"), path("link")).unwrap();
        let mut last = WatchedFile::look(path("link"));
        assert_eq!(last.again(), last, "nothing has changed");
        let mut differs = |what: &str| {
            let now = last.again();
            assert_ne!(std::mem::replace(&mut last, now.clone()), now, "{what}");
        };
        symlink(path("v2"), path("next")).unwrap();
        fs::rename(path("next"), path("link")).unwrap();
        differs("the link points elsewhere, as in a ConfigMap");
        write("v2", "three");
        differs("written in place");
        write("v3", "three");
        fs::rename(path("v3"), path("v2")).unwrap();
        differs("another takes its place, as with editors");
        let file = File::options().append(true).open(path("v2")).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        differs("changed with an old time of modification");
        fs::remove_file(path("v2")).unwrap();
        differs("gone");
        write("v2", "three");
        differs("back");
    }
}

//! A token file that another program keeps current.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::patient_reads::PatientReads;

const FILE_BYTES_MAX: u64 = 64 * 1024;

/// One file.
pub struct TokenFile {
    path: PathBuf,
    reads: PatientReads,
}

impl TokenFile {
    pub fn new(path: PathBuf, patience: Duration) -> TokenFile {
        TokenFile { path, reads: PatientReads::new(patience) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's bytes, [`FILE_BYTES_MAX`] at most.
    ///
    /// # Errors
    /// The file system's; `TimedOut` where this read or an earlier one does not come back within the time limit.
    pub async fn read(&self) -> io::Result<Vec<u8>> {
        let path = self.path.clone();
        let read = move || {
            let mut bytes = Vec::new();
            std::fs::File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        self.reads.run(read).await?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The runtime is dropped without waiting for threads that are stuck, as that of `run` is.
    fn in_a_runtime<R>(test: impl Future<Output = R>) -> R {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let result = runtime.block_on(test);
        runtime.shutdown_background();
        result
    }

    async fn fault(file: &TokenFile) -> String {
        file.read().await.map_or_else(|error| error.to_string(), |_| "none".to_owned())
    }

    /// A pipe without a writer blocks whoever opens it, as a dead mount does.
    #[test]
    fn a_read_that_does_not_come_back_is_given_up_and_not_repeated() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
        let (first, later, read_again) = in_a_runtime(async {
            let file = TokenFile::new(path.clone(), Duration::from_millis(200));
            let (first, later) = (fault(&file).await, fault(&file).await);
            // A writer wakes the thread that is stuck; from then on the file is read again.
            drop(std::fs::OpenOptions::new().read(true).write(true).open(&path));
            std::fs::remove_file(&path).unwrap();
            std::fs::write(&path, "T").unwrap();
            let read_again = async {
                while file.read().await.is_err() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                file.read().await
            };
            (first, later, tokio::time::timeout(Duration::from_secs(20), read_again).await)
        });
        assert!(first.contains("time limit"), "{first}");
        assert!(later.contains("has not come back"), "{later}");
        assert_eq!(read_again.expect("the file is read again").unwrap(), b"T");
    }
}

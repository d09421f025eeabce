//! Hands the password that stands in a file to every client, and another one once the file holds that.
//!
//! librdkafka logs in anew with each connection, by the credentials that its client has then, and goes on trying for as long as
//! brokers refuse them. So a password that is changed at the brokers and in the file stops nothing: connections that stand
//! stay, and new ones come about with the new one, whichever of both is changed first.
//!
//! The file is looked at every few seconds, in a thread of its own, for a file system may not answer for long. It holds one lock
//! for as long as librdkafka copies two texts for each client, which calls nothing of ours; the same lock is taken by whoever makes or
//! drops a client, for a moment.

use std::ffi::{CStr, CString};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use rdkafka::ClientConfig;
use rdkafka::bindings as native;
use rdkafka::error::{KafkaError, KafkaResult};
use secrecy::{ExposeSecret, SecretString};

use super::native::{NativeClient, NativeClients};
use crate::secret::Secret;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The password of the process, and the clients that have to have it.
pub struct PasswordDistributor {
    recipients: Arc<PasswordRecipients>,
    /// Of the thread that looks, which ends with it; absent until the first client comes.
    end: Mutex<Option<Sender<()>>>,
}

/// A client's place among those that are handed passwords.
pub struct PasswordSubscription {
    recipients: Arc<PasswordRecipients>,
    number: u64,
}

struct PasswordRecipients {
    username: String,
    password: Secret,
    clients: Mutex<NativeClients>,
}

impl PasswordDistributor {
    /// Nothing is read until the first client comes.
    pub fn new(username: &str, password: Secret) -> PasswordDistributor {
        let recipients = PasswordRecipients { username: username.to_owned(), password, clients: Mutex::default() };
        PasswordDistributor { recipients: Arc::new(recipients), end: Mutex::new(None) }
    }

    pub fn prepare(&self, config: &mut ClientConfig) {
        config.set("sasl.password", self.recipients.password.latest().expose_secret());
    }

    /// Gives `client` the latest password, and each that comes, until the place is dropped: before the client is.
    ///
    /// # Errors
    /// Where there is no thread that could look at the file.
    pub fn supply(&self, client: Weak<dyn NativeClient>) -> KafkaResult<PasswordSubscription> {
        self.look()?;
        // Held until the client is on the list: a password that is read meanwhile reaches it, too.
        let mut clients = self.recipients.clients.lock();
        // It may have been made with the one before.
        self.recipients.hand(&self.recipients.password.latest(), &client);
        Ok(PasswordSubscription { recipients: self.recipients.clone(), number: clients.add(client) })
    }

    /// Starts the thread that looks at the file, once.
    ///
    /// # Errors
    /// Where there is none.
    fn look(&self) -> KafkaResult<()> {
        let mut end = self.end.lock();
        if end.is_none() {
            let (sender, receiver) = channel();
            let recipients = self.recipients.clone();
            let thread = std::thread::Builder::new().name("kafka-password".into());
            let thread = thread.spawn(move || recipients.look_until(&receiver));
            thread.map_err(|error| KafkaError::ClientCreation(format!("no thread for the password: {error}")))?;
            *end = Some(sender);
        }
        Ok(())
    }
}

impl Drop for PasswordSubscription {
    fn drop(&mut self) {
        self.recipients.clients.lock().remove(self.number);
    }
}

impl PasswordRecipients {
    /// Until the other end is dropped.
    fn look_until(&self, end: &Receiver<()>) {
        let (mut handed, mut is_readable) = (self.password.latest(), true);
        while end.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
            let read = self.password.read_again();
            // Once: it may be so for long, and what connects meanwhile has the last password.
            if let (Err(error), true) = (&read, is_readable) {
                tracing::warn!(%error, "the password of kafka can't be read again");
            }
            is_readable = read.is_ok();
            let latest = self.password.latest();
            if latest.expose_secret() != handed.expose_secret() {
                tracing::info!("the password of kafka was changed in its file: new connections are made with it");
                self.clients.lock().iter().for_each(|client| self.hand(&latest, client));
                handed = latest;
            }
        }
    }

    fn hand(&self, password: &SecretString, client: &Weak<dyn NativeClient>) {
        let Some(client) = client.upgrade() else { return };
        if let Some(refusal) = set(&self.username, password, &*client) {
            tracing::warn!(refusal, "a kafka client refuses its password");
        }
    }
}

/// librdkafka's words, where it does not take them.
#[allow(unsafe_code, reason = "credentials that change are what rdkafka does not offer; argued below")]
fn set(username: &str, password: &SecretString, client: &dyn NativeClient) -> Option<String> {
    let [Ok(username), Ok(password)] = [username, password.expose_secret()].map(CString::new) else {
        return Some("it holds a zero".to_owned());
    };
    // SAFETY: the client's pointer is valid as long as the client, which is borrowed for the call, and librdkafka's clients may be
    // used from any thread. Both texts end with a zero, outlive the call, and are copied by it. What comes back is nothing or
    // an error that is ours to destroy, whose text is copied before.
    unsafe {
        let error = native::rd_kafka_sasl_set_credentials(client.native(), username.as_ptr(), password.as_ptr());
        if error.is_null() {
            return None;
        }
        let words = CStr::from_ptr(native::rd_kafka_error_string(error)).to_string_lossy().into_owned();
        native::rd_kafka_error_destroy(error);
        Some(words)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::kafka::client::credentials::BrokerCredentials;
    use crate::kafka::client::settings::Settings;
    use crate::kafka::client::settings::tests::settings;
    use rdkafka::consumer::BaseConsumer;

    use crate::kafka::client::context::LogContext;

    fn plain(password: Secret) -> Settings {
        let given = [
            ("bootstrap.servers", "127.0.0.1:1"),
            ("security.protocol", "sasl_plaintext"),
            ("sasl.mechanisms", "PLAIN"),
            ("sasl.username", "u"),
            ("sasl.password", "of the start"),
        ];
        let credentials = BrokerCredentials::new(None, Some("u"), Some(password));
        Settings { credentials, ..settings(&given) }
    }

    #[test]
    fn a_client_begins_with_the_latest_password_and_has_a_place_as_long_as_it_lives() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        std::fs::write(&path, "two").unwrap();
        let read: crate::secret::ReadSecret = |bytes| Ok(String::from_utf8(bytes)?.into());
        let secret = Secret::of_file("one".into(), path, read);
        let settings = plain(secret.clone());
        let Some(BrokerCredentials::Password(passwords)) = settings.credentials.clone() else { panic!("it has one") };
        assert!(secret.read_again().unwrap());
        let mut setup = settings.reader_config();
        passwords.prepare(&mut setup);
        assert_eq!(setup.get("sasl.password"), Some("two"));
        let places = || passwords.recipients.clients.lock().iter().count();
        let clients = [(); 2].map(|()| setup.create_with_context::<_, BaseConsumer<_>>(LogContext::default()).unwrap());
        assert_eq!(places(), 2);
        drop(clients);
        assert_eq!(places(), 0);
    }

    #[test]
    fn a_client_takes_another_password_and_none_with_a_zero() {
        let settings = plain("one".into());
        let client: Arc<BaseConsumer> = Arc::new(settings.reader_config().create().unwrap());
        assert_eq!(set("u", &"two".into(), &*client), None);
        assert_eq!(set("u", &"t\0o".into(), &*client).as_deref(), Some("it holds a zero"));
    }

    #[test]
    fn who_logs_in_without_a_file_or_a_name_is_handed_nothing() {
        assert!(BrokerCredentials::new(None, Some("u"), None).is_none());
        assert!(BrokerCredentials::new(None, None, Some("one".into())).is_none());
    }
}

//! The network between one client and a broker, which can be cut: what is sent then arrives when it is mended, as the
//! retransmissions of TCP would. Connections stay open, and new ones are taken and answered by nobody.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};

/// A way to a broker that leads over somebody else.
#[derive(Clone, Copy)]
pub struct Detour {
    /// The port to which the broker sends its clients, where nobody listens.
    pub from: u16,
    /// Where the broker listens for them.
    pub to: u16,
}

/// What stands behind the properties `listeners`, `advertised.listeners` and `listener.security.protocol.map` of a broker with
/// detours.
pub struct DetourListeners {
    pub listened: String,
    pub advertised: String,
    pub protocols: String,
}

impl DetourListeners {
    pub fn of(detours: &[Detour]) -> DetourListeners {
        let listeners = |port_of: fn(&Detour) -> u16| -> String {
            let listener = |(number, detour)| format!(",DETOUR{number}://127.0.0.1:{}", port_of(detour));
            detours.iter().enumerate().map(listener).collect()
        };
        DetourListeners {
            listened: listeners(|detour| detour.to),
            advertised: listeners(|detour| detour.from),
            protocols: (0..detours.len()).map(|number| format!(",DETOUR{number}:PLAINTEXT")).collect(),
        }
    }
}

/// Threads of it live as long as the process; those of a connection as long as its ends.
pub struct Proxy {
    cut: Arc<Cut>,
}

#[derive(Default)]
struct Cut {
    is_cut: Mutex<bool>,
    mended: Condvar,
}

impl Proxy {
    /// Passes on whatever comes on this way.
    pub fn start(Detour { from, to }: Detour) -> Result<Proxy> {
        let listener = TcpListener::bind(("127.0.0.1", from)).context("the proxy can't listen")?;
        let cut = Arc::new(Cut::default());
        let shared = cut.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(broker) = TcpStream::connect(("127.0.0.1", to)) else { continue };
                let (Ok(from_client), Ok(from_broker)) = (client.try_clone(), broker.try_clone()) else { continue };
                pass_on(from_client, broker, shared.clone());
                pass_on(from_broker, client, shared.clone());
            }
        });
        Ok(Proxy { cut })
    }

    pub fn cut(&self) {
        *self.cut.lock() = true;
    }

    pub fn mend(&self) {
        *self.cut.lock() = false;
        self.cut.mended.notify_all();
    }
}

impl Cut {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.is_cut.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_mended(&self) {
        let is_cut = self.mended.wait_while(self.lock(), |is_cut| *is_cut);
        drop(is_cut.unwrap_or_else(PoisonError::into_inner));
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, cut: Arc<Cut>) {
    std::thread::spawn(move || {
        let mut bytes = vec![0; 65_536];
        while let Ok(length @ 1..) = from.read(&mut bytes) {
            cut.wait_mended();
            if to.write_all(&bytes[..length]).is_err() {
                break;
            }
        }
        cut.wait_mended();
        // Whoever reads at the other end is told of the end as well.
        let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
    });
}

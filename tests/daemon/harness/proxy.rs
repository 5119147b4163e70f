//! A way to the daemon that can be cut: connections through it end when the test says so, without a farewell.

use std::sync::Mutex;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Passes TCP connections on to an address.
pub struct Proxy {
    address: String,
    is_open: watch::Sender<bool>,
    accepting: Mutex<JoinHandle<()>>,
}

impl Proxy {
    /// Begins to pass on to `target` (`127.0.0.1:3000`), which need not listen yet.
    pub async fn start(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let is_open = watch::Sender::new(true);
        let states = is_open.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (mut is_open, target) = (states.subscribe(), target.clone());
                tokio::spawn(async move {
                    let closed = async { is_open.wait_for(|is_open| !is_open).await.map(drop) };
                    let pass = async {
                        let Ok(mut server) = TcpStream::connect(target).await else { return };
                        let _ = copy_bidirectional(&mut client, &mut server).await;
                    };
                    tokio::select! {
                        // While it is closed nothing gets through at all.
                        biased;
                        _ = closed => {}
                        () = pass => {}
                    }
                });
            }
        });
        Proxy { address, is_open, accepting: Mutex::new(accepting) }
    }

    /// Where clients connect to.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Ends all connections, and ends new ones at once until it is [opened](Self::open).
    pub fn close(&self) {
        self.is_open.send_replace(false);
    }

    /// Lets connections through again.
    pub fn open(&self) {
        self.is_open.send_replace(true);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.lock().unwrap().abort();
        self.close();
    }
}

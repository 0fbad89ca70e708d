//! The two servers of a comparison, and blocking connections to them: the order in which messages come is what is compared,
//! so nothing here may reorder or drop one.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use nuage_emulator::entropy::Entropy;
use nuage_emulator::ovsdb::Server;
use nuage_ovsdb::rpc::{Decoder, Message};
use nuage_ovsdb::schema::DatabaseSchema;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// How long a server may take for one answer on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);
const READ_BYTES: usize = 64 << 10;

/// A server that can be connected to.
pub(crate) trait Peer {
    /// Its unix socket.
    fn socket(&self) -> &Path;

    /// A new connection, as soon as it listens.
    fn connect(&self) -> Session {
        for _ in 0..1000 {
            if let Ok(stream) = UnixStream::connect(self.socket()) {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                return Session { stream, decoder: Decoder::default(), echoes: 0, open: true };
            }
            std::thread::yield_now();
            #[expect(clippy::disallowed_methods, reason = "a process is awaited, no virtual time here")]
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("{} does not listen", self.socket().display());
    }
}

/// The real ovsdb-server, ended by its id.
pub(crate) struct Real {
    child: Child,
    socket: PathBuf,
    directory: tempfile::TempDir,
}

impl Real {
    /// Starts one with this schema on an empty database; says so and gives `None` where there is no Open vSwitch.
    pub(crate) fn start(test: &str, schema: &Value) -> Option<Self> {
        if !is_installed(test) {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("schema"), schema.to_string()).unwrap();
        let created =
            Command::new("ovsdb-tool").arg("create").arg(path("db")).arg(path("schema")).status().unwrap();
        assert!(created.success(), "the real ovsdb-tool takes the schema");
        Some(Self::serve(&path("db"), directory))
    }

    /// Starts one on a database file that is there.
    pub(crate) fn on(database: &Path) -> Self {
        Self::serve(database, tempfile::tempdir().unwrap())
    }

    fn serve(database: &Path, directory: tempfile::TempDir) -> Self {
        let path = |name: &str| directory.path().join(name);
        let child = Command::new("ovsdb-server")
            .arg(database)
            .arg(format!("--remote=punix:{}", path("db.sock").display()))
            .arg(format!("--unixctl={}", path("ctl").display()))
            .arg("-vconsole:off")
            .spawn()
            .unwrap();
        Self { child, socket: path("db.sock"), directory }
    }

    /// Whether it has not ended by itself, as it does where a request makes it crash.
    pub(crate) fn lives(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|ended| ended.is_none())
    }

    /// Where a server that was started on an empty database has its file.
    pub(crate) fn database(&self) -> PathBuf {
        self.directory.path().join("db")
    }
}

/// Whether there is a real server; says so if not.
pub(crate) fn is_installed(test: &str) -> bool {
    let found = Command::new("sh").args(["-c", "command -v ovsdb-server && command -v ovsdb-tool"]).output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("SKIPPED {test}: ovsdb-server");
    }
    found
}

impl Peer for Real {
    fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The emulated server, in this process, on a socket.
pub(crate) struct Ours {
    socket: PathBuf,
    _runtime: Runtime,
    _directory: tempfile::TempDir,
}

impl Ours {
    pub(crate) fn start(schema: &Value) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("db.sock");
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let schema = DatabaseSchema::from_json(schema).unwrap();
        let server = Server::new(vec![schema], Entropy::seeded(7)).unwrap();
        let entered = runtime.enter();
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        runtime.spawn(server.listen_unix(listener));
        drop(entered);
        Self { socket, _runtime: runtime, _directory: directory }
    }
}

impl Peer for Ours {
    fn socket(&self) -> &Path {
        &self.socket
    }
}

/// One connection.
pub(crate) struct Session {
    stream: UnixStream,
    decoder: Decoder,
    echoes: u64,
    /// Whether the server has not closed it.
    pub(crate) open: bool,
}

impl Session {
    pub(crate) fn send(&mut self, method: &str, params: &[Value], id: Value) {
        let message = Message::Request { method: method.to_owned(), params: params.to_vec(), id };
        self.send_bytes(&message.encode());
    }

    /// Sends what may be no message.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        if self.stream.write_all(bytes).is_err() {
            self.open = false;
        }
    }

    /// Asks for a sign that everything before it has been dealt with.
    pub(crate) fn ask_echo(&mut self) {
        self.echoes += 1;
        let id = json!(["echo", self.echoes]);
        self.send("echo", &[], id);
    }

    /// All that came before the answer to the last [`Session::ask_echo`], or before the server closed the connection.
    pub(crate) fn until_echo(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        let mark = json!(["echo", self.echoes]);
        while self.open {
            match self.decoder.decode().expect("a server sends whole messages") {
                Some(Message::Response { id, .. }) if id == mark => break,
                Some(message) => messages.push(message),
                None => self.read(),
            }
        }
        messages
    }

    /// Sends a request and gives its answer.
    pub(crate) fn call(&mut self, method: &str, params: &[Value]) -> Value {
        self.send(method, params, json!("call"));
        self.ask_echo();
        let answers = self.until_echo().into_iter();
        let mut answers = answers.filter_map(|message| match message {
            Message::Response { result, error, id } if id == "call" => {
                Some(if error.is_null() { result } else { error })
            }
            _ => None,
        });
        answers.next().expect("an answer")
    }

    fn read(&mut self) {
        let mut chunk = vec![0; READ_BYTES];
        match self.stream.read(&mut chunk) {
            Ok(count @ 1..) => self.decoder.buffer().extend_from_slice(&chunk[..count]),
            Ok(0) => self.open = false,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => self.open = false,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => panic!("no answer in {PATIENCE:?}: {error}"),
        }
    }
}

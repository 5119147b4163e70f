//! Real mail servers for tests: Dovecot (IMAP, LMTP) and Exim (SMTP), from the system's packages, in a folder of their own on free
//! ports. Self-contained, so that tests of other crates can include this file.
//!
//! Every user exists; the password is [`PASSWORD`]. Mail to `…@support.test` ends in the mailbox of that name; mail to any other
//! domain comes back to its sender as a delivery report of Exim's. A plus sign and what follows it is ignored in addresses. Started
//! without packages or root's rights, [`MailServers::start`] says so and returns `None`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#[allow(clippy::duplicate_mod, reason = "this file is included by other crates, which have no such module")]
#[path = "ports.rs"]
mod ports;

use ports::{MAIL_SERVERS, free_port};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The password of every user.
pub const PASSWORD: &str = "swordfish";

/// Running servers; they end with this.
pub struct MailServers {
    /// IMAP in the clear, and with STARTTLS.
    pub imap_port: u16,
    /// IMAP with TLS from the first byte.
    pub imaps_port: u16,
    /// LMTP: what is handed in here is in the mailbox.
    pub lmtp_port: u16,
    /// SMTP in the clear, and with STARTTLS; asks nobody to sign in, refuses wrong passwords.
    pub smtp_port: u16,
    /// SMTP with TLS from the first byte; otherwise the same.
    pub smtps_port: u16,
    folder: tempfile::TempDir,
    dovecot: Option<Child>,
    exim: Option<Child>,
}

/// A mail in a mailbox.
#[derive(Clone, Debug)]
pub struct StoredMail {
    /// The mail as stored.
    pub raw: String,
    /// Whether it is marked as seen.
    pub seen: bool,
}

impl MailServers {
    /// Starts both servers and waits until they answer.
    pub fn start() -> Option<MailServers> {
        if let Some(reason) = missing() {
            eprintln!("skipped: {reason}");
            return None;
        }
        let folder = tempfile::Builder::new().prefix("mail-").tempdir().expect("a temporary folder");
        // The servers drop root's rights and must still pass through.
        open_to_all(folder.path());
        let [imap_port, imaps_port, lmtp_port, smtp_port, smtps_port] = std::array::from_fn(|_| free_port(MAIL_SERVERS));
        let mut servers = MailServers { imap_port, imaps_port, lmtp_port, smtp_port, smtps_port, folder, dovecot: None, exim: None };
        servers.write_files();
        servers.start_imap();
        servers.start_smtp();
        Some(servers)
    }

    /// The certificate of both servers, for `localhost`; signed by itself.
    pub fn certificate_pem(&self) -> Vec<u8> {
        fs::read(self.path("cert.pem")).expect("the certificate")
    }

    /// Puts a mail into a mailbox (`name` or `name@support.test`), on behalf of whom its From names: one from nobody is a report.
    pub fn deliver(&self, mailbox: &str, raw: &[u8]) {
        let stream = TcpStream::connect(("127.0.0.1", self.lmtp_port)).expect("a connection to LMTP");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        let mut writer = stream.try_clone().expect("a second handle");
        let mut reader = BufReader::new(stream);
        let mut expect = |code: &str| loop {
            let mut line = String::new();
            assert_ne!(reader.read_line(&mut line).expect("an answer of LMTP"), 0, "LMTP closed the connection");
            if line.as_bytes().get(3) != Some(&b'-') {
                assert!(line.starts_with(code), "LMTP says {line}");
                return;
            }
        };
        let text = String::from_utf8_lossy(raw).replace("\r\n", "\n");
        expect("220");
        for (command, code) in [
            ("LHLO test".to_owned(), "250"),
            (format!("MAIL FROM:<{}>", author(&text)), "250"),
            (format!("RCPT TO:<{mailbox}>"), "250"),
            ("DATA".to_owned(), "354"),
        ] {
            writer.write_all(format!("{command}\r\n").as_bytes()).expect("a command");
            expect(code);
        }
        for line in text.lines() {
            let dot = if line.starts_with('.') { "." } else { "" };
            writer.write_all(format!("{dot}{line}\r\n").as_bytes()).expect("a line");
        }
        writer.write_all(b".\r\n").expect("the end");
        expect("250");
    }

    /// What a mailbox holds, oldest first.
    pub fn mails(&self, mailbox: &str) -> Vec<StoredMail> {
        let mut files: Vec<PathBuf> = ["new", "cur"]
            .iter()
            .filter_map(|part| fs::read_dir(self.maildir(mailbox).join(part)).ok())
            .flat_map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())))
            .collect();
        files.sort_by_key(|file| arrival(file));
        let seen = |file: &Path| file.to_string_lossy().rsplit_once(":2,").is_some_and(|(_, flags)| flags.contains('S'));
        files
            .iter()
            .filter_map(|file| Some(StoredMail { raw: String::from_utf8_lossy(&fs::read(file).ok()?).into_owned(), seen: seen(file) }))
            .collect()
    }

    /// Waits until the mailbox satisfies a condition, and returns what it holds.
    pub fn wait_for(&self, mailbox: &str, condition: impl Fn(&[StoredMail]) -> bool) -> Vec<StoredMail> {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            let mails = self.mails(mailbox);
            if condition(&mails) {
                return mails;
            }
            assert!(Instant::now() < end, "still waiting for the mailbox {mailbox}: {mails:?}\n{}", self.logs());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends the IMAP server and with it every connection.
    pub fn stop_imap(&mut self) {
        if let Some(dovecot) = self.dovecot.take() {
            end(dovecot);
        }
    }

    /// Kills the IMAP server and all its processes, which have no time to say goodbye or to write anything.
    pub fn kill_imap(&mut self) {
        if let Some(mut dovecot) = self.dovecot.take() {
            let group = format!("-{}", dovecot.id());
            assert!(Command::new("kill").args(["-KILL", "--", &group]).status().expect("kill").success());
            dovecot.wait().expect("its end");
        }
    }

    /// Starts the IMAP server again, on the same ports and mailboxes.
    pub fn start_imap(&mut self) {
        let mut dovecot = Command::new("dovecot");
        dovecot.arg("-F").arg("-c").arg(self.path("dovecot.conf")).stdin(Stdio::null());
        self.dovecot = Some(spawn(dovecot, &self.path("dovecot.out")));
        wait_for_greeting(self.imap_port, "* OK ");
        wait_for_greeting(self.lmtp_port, "220 ");
    }

    /// Ends the SMTP server: connections to it are refused.
    pub fn stop_smtp(&mut self) {
        if let Some(exim) = self.exim.take() {
            end(exim);
        }
    }

    /// Starts the SMTP server again, on the same port.
    pub fn start_smtp(&mut self) {
        let mut exim = Command::new("exim4");
        exim.arg("-C").arg(self.path("exim.conf")).args(["-bdf", "-q5s"]).stdin(Stdio::null());
        self.exim = Some(spawn(exim, &self.path("exim.out")));
        wait_for_greeting(self.smtp_port, "220 ");
    }

    /// Gives a mailbox another UIDVALIDITY and all its mails new UIDs, as after a restored backup. Ends all connections.
    pub fn change_uid_validity(&mut self, mailbox: &str) {
        self.stop_imap();
        let list = self.maildir(mailbox).join("dovecot-uidlist");
        for entry in fs::read_dir(self.maildir(mailbox)).expect("the mailbox").flatten() {
            let name = entry.file_name();
            if name.to_string_lossy().starts_with("dovecot") {
                fs::remove_file(entry.path()).expect("an index file");
            }
        }
        // Dovecot would take the seconds of now, which a quick test has used already.
        fs::write(&list, "3 V1234567890 N1\n").expect("the list of UIDs");
        let status = Command::new("chown").arg("mail:mail").arg(&list).status().expect("chown");
        assert!(status.success());
        self.start_imap();
    }

    /// What the servers logged, for messages of failed tests.
    pub fn logs(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.path(name)).unwrap_or_default();
        ["dovecot.log", "dovecot.out", "log/exim-main.log", "log/exim-panic.log", "exim.out"]
            .map(|name| format!("--- {name}\n{}", read(name)))
            .concat()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn maildir(&self, mailbox: &str) -> PathBuf {
        let name = mailbox.split('@').next().unwrap_or(mailbox);
        self.path("mailboxes").join(name).join("Maildir")
    }

    fn write_files(&self) {
        let folder = self.folder.path().display();
        for (name, owner) in [("mailboxes", "mail:mail"), ("spool", "Debian-exim:Debian-exim"), ("log", "Debian-exim:Debian-exim")] {
            fs::create_dir(self.path(name)).expect("a folder");
            assert!(Command::new("chown").arg(owner).arg(self.path(name)).status().expect("chown").success());
        }
        let certificate = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=localhost",
            ])
            .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(self.path("key.pem"))
            .arg("-out")
            .arg(self.path("cert.pem"))
            .output()
            .expect("openssl");
        assert!(certificate.status.success(), "{certificate:?}");
        fs::set_permissions(self.path("key.pem"), fs::Permissions::from_mode(0o644)).expect("permissions");

        let (imap, imaps, lmtp, smtp, smtps) = (self.imap_port, self.imaps_port, self.lmtp_port, self.smtp_port, self.smtps_port);
        let listener = |name: &str, port: u16, more: &str| {
            format!("  inet_listener {name} {{\n    address = 127.0.0.1\n    port = {port}\n{more}  }}\n")
        };
        let dovecot = [
            format!("base_dir = {folder}/run\nlog_path = {folder}/dovecot.log\n"),
            "protocols = imap lmtp\n".into(),
            format!("ssl = yes\nssl_cert = <{folder}/cert.pem\nssl_key = <{folder}/key.pem\n"),
            "disable_plaintext_auth = no\nauth_mechanisms = plain login\nauth_failure_delay = 0\nauth_username_format = %Ln\n".into(),
            format!("passdb {{\n  driver = static\n  args = password={PASSWORD}\n}}\n"),
            format!("userdb {{\n  driver = static\n  args = uid=mail gid=mail home={folder}/mailboxes/%n allow_all_users=yes\n}}\n"),
            "mail_location = maildir:~/Maildir\nfirst_valid_uid = 1\nmail_max_userip_connections = 50\nrecipient_delimiter = +\n".into(),
            "namespace inbox {\n  inbox = yes\n}\n".into(),
            format!("service imap-login {{\n{}{}}}\n", listener("imap", imap, ""), listener("imaps", imaps, "    ssl = yes\n")),
            format!("service lmtp {{\n{}}}\n", listener("lmtp", lmtp, "")),
        ];
        fs::write(self.path("dovecot.conf"), dovecot.concat()).expect("dovecot.conf");

        let exim = [
            "primary_hostname = mx.test\nlocal_interfaces = 127.0.0.1\n".to_owned(),
            format!("daemon_smtp_ports = {smtp} : {smtps}\ntls_on_connect_ports = {smtps}\n"),
            format!("tls_advertise_hosts = *\ntls_certificate = {folder}/cert.pem\ntls_privatekey = {folder}/key.pem\n"),
            format!("spool_directory = {folder}/spool\nlog_file_path = {folder}/log/exim-%s.log\npid_file_path = {folder}/spool/exim.pid\n"),
            "exim_user = Debian-exim\nexim_group = Debian-exim\nnever_users =\nhost_lookup =\nrfc1413_query_timeout = 0s\nkeep_environment =\n".into(),
            "message_size_limit = 30M\nacl_smtp_rcpt = recipients\nacl_smtp_data = data\n".into(),
            "begin acl\nrecipients:\n".into(),
            "  deny local_parts = refused\n       message = no such person here\n".into(),
            "  defer local_parts = greylisted\n        message = come back later\n".into(),
            "  accept\ndata:\n".into(),
            "  deny condition = ${if match{$h_subject:}{VIRUS}}\n       message = this mail carries a virus\n".into(),
            "  accept\n".into(),
            "begin routers\nlocal:\n  driver = accept\n  domains = support.test\n  transport = mailbox\n".into(),
            "nowhere:\n  driver = redirect\n  allow_fail\n  data = :fail: this domain is not in the test world\n".into(),
            format!("begin transports\nmailbox:\n  driver = smtp\n  protocol = lmtp\n  hosts = 127.0.0.1\n  hosts_override\n  allow_localhost\n  port = {lmtp}\n  hosts_try_fastopen =\n"),
            "begin retry\n* * F,1m,2s\n".into(),
            "begin authenticators\nplain:\n  driver = plaintext\n  public_name = PLAIN\n  server_prompts = :\n".into(),
            format!("  server_condition = ${{if eq{{$auth3}}{{{PASSWORD}}}}}\n  server_set_id = $auth2\n"),
            "login:\n  driver = plaintext\n  public_name = LOGIN\n  server_prompts = <| Username: | Password:\n".into(),
            format!("  server_condition = ${{if eq{{$auth2}}{{{PASSWORD}}}}}\n  server_set_id = $auth1\n"),
        ];
        // Exim takes no file that somebody else may write.
        fs::write(self.path("exim.conf"), exim.concat()).expect("exim.conf");
        fs::set_permissions(self.path("exim.conf"), fs::Permissions::from_mode(0o644)).expect("permissions");
    }
}

impl Drop for MailServers {
    fn drop(&mut self) {
        self.stop_imap();
        self.stop_smtp();
    }
}

/// The address of the From header; empty without one.
fn author(mail: &str) -> &str {
    let head = mail.split("\n\n").next().unwrap_or_default();
    let from = head.lines().find_map(|line| line.strip_prefix("From: ")).unwrap_or_default();
    from.rsplit_once('<').map_or(from, |(_, address)| address).trim_end_matches('>').trim()
}

/// Seconds and microseconds of a Maildir file name, `<seconds>.M<microseconds>P<process>…`.
fn arrival(file: &Path) -> (u64, u64) {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (seconds, rest) = name.split_once(".M").unwrap_or_default();
    let microseconds = rest.split('P').next().unwrap_or_default();
    (seconds.parse().unwrap_or(0), microseconds.parse().unwrap_or(0))
}

fn missing() -> Option<&'static str> {
    let runs = |program: &str, argument: &str| {
        let status = Command::new(program).arg(argument).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok()
    };
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0\n"));
    if !runs("dovecot", "--version") {
        Some("Dovecot is not installed")
    } else if !runs("exim4", "-bV") {
        Some("Exim is not installed")
    } else if !runs("openssl", "version") {
        Some("openssl is not installed")
    } else if !is_root {
        Some("Dovecot and Exim must be started by root")
    } else {
        None
    }
}

fn open_to_all(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("permissions");
}

fn spawn(mut command: Command, output: &Path) -> Child {
    let file = fs::File::options().create(true).append(true).open(output).expect("a file for output");
    // In a group of its own, so that it can be killed with everything that it has started.
    command.stdout(file.try_clone().expect("a second handle")).stderr(file).process_group(0);
    command.spawn().expect("the server starts")
}

/// Asks the server to end, so that it ends its own children too.
fn end(mut child: Child) {
    let _ = Command::new("kill").arg(child.id().to_string()).status();
    let deadline = Instant::now() + Duration::from_secs(5);
    while child.try_wait().is_ok_and(|status| status.is_none()) {
        if Instant::now() > deadline {
            let _ = child.kill();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn wait_for_greeting(port: u16, greeting: &str) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let answer = TcpStream::connect(("127.0.0.1", port)).and_then(|stream| {
            stream.set_read_timeout(Some(Duration::from_secs(5)))?;
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line)?;
            Ok(line)
        });
        if answer.as_ref().is_ok_and(|line| line.starts_with(greeting)) {
            return;
        }
        assert!(Instant::now() < deadline, "nothing answers on port {port}: {answer:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

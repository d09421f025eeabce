//! Kerberos as MIT's own server offers it (of Debian the packages krb5-kdc, krb5-admin-server and krb5-user): a realm with two
//! principals, the broker and the user whom it lets in. Everything lies in the broker's directory and goes with it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::kafka::free_port;
use super::process::Process;
use super::way_in::{KAFKA, LISTENER, WayIn};

const REALM: &str = "TESTS";
const BROKER: &str = "kafka/localhost@TESTS";
pub const USER: &str = "connector@TESTS";
/// Where Debian has what is for administrators.
const SEARCHED: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Why there can be no realm on this machine.
///
/// # Errors
/// The programs that are missing, by their package.
pub fn available() -> std::result::Result<(), String> {
    for (program, package) in [("krb5kdc", "krb5-kdc"), ("kadmin.local", "krb5-admin-server"), ("kinit", "krb5-user")] {
        found(program).ok_or_else(|| format!("{program} is not there (of Debian the package {package})"))?;
    }
    Ok(())
}

/// Makes a realm in `directory`, with `krb5.conf` and `user.keytab`, and serves it.
pub fn way_in(directory: &Path) -> Result<WayIn> {
    let (port, kdc) = (free_port()?, free_port()?);
    let at = |name: &str| directory.join(name).display().to_string();
    let libraries = format!(
        "[libdefaults]\ndefault_realm = {REALM}\ndns_lookup_kdc = false\nrdns = false\ndns_canonicalize_hostname = false\n\
         [realms]\n{REALM} = {{\nkdc = 127.0.0.1:{kdc}\n}}\n[domain_realm]\nlocalhost = {REALM}\n"
    );
    let server = format!(
        "[kdcdefaults]\nkdc_listen = 127.0.0.1:{kdc}\nkdc_tcp_listen = 127.0.0.1:{kdc}\n\
         [realms]\n{REALM} = {{\ndatabase_name = {}\nkey_stash_file = {}\nmax_life = 1h\n}}\n",
        at("principal"),
        at("stash")
    );
    fs::write(directory.join("krb5.conf"), libraries)?;
    fs::write(directory.join("kdc.conf"), server)?;
    let command = |program: &str, arguments: &[&str]| -> Result<Command> {
        let mut command = Command::new(found(program).with_context(|| format!("{program} is not there"))?);
        command.args(arguments).env("KRB5_CONFIG", at("krb5.conf")).env("KRB5_KDC_PROFILE", at("kdc.conf"));
        Ok(command)
    };
    let run = |program: &str, arguments: &[&str]| -> Result<()> {
        let answer = command(program, arguments)?.output()?;
        ensure!(answer.status.success(), "{program}: {}", String::from_utf8_lossy(&answer.stderr));
        Ok(())
    };
    run("kdb5_util", &["create", "-s", "-r", REALM, "-P", "of the tests"])?;
    for (principal, keytab) in [(BROKER, "broker.keytab"), (USER, "user.keytab")] {
        run("kadmin.local", &["-q", &format!("addprinc -randkey {principal}")])?;
        run("kadmin.local", &["-q", &format!("ktadd -k {} {principal}", at(keytab))])?;
        ensure!(directory.join(keytab).is_file(), "{principal} has no keytab");
    }
    let module = "com.sun.security.auth.module.Krb5LoginModule required useKeyTab=true storeKey=true";
    Ok(WayIn {
        port,
        user: "connector",
        properties: format!(
            "sasl.kerberos.service.name=kafka\n\
             listener.name.{LISTENER}.sasl.enabled.mechanisms=GSSAPI\n\
             listener.name.{LISTENER}.gssapi.sasl.jaas.config={module} keyTab=\"{}\" principal=\"{BROKER}\";",
            at("broker.keytab")
        ),
        java_options: format!("-Djava.security.krb5.conf={}", at("krb5.conf")),
        program: KAFKA.to_owned(),
        directory: directory.to_owned(),
        server: Some(Process::start("krb5kdc", &command("krb5kdc", &["-n"])?, directory)?),
    })
}

fn found(program: &str) -> Option<PathBuf> {
    SEARCHED.iter().map(|directory| Path::new(directory).join(program)).find(|path| path.is_file())
}

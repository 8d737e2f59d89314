//! Configurations that name files: what is refused before anything is served.

use super::rig::{Place, TLS};

#[test]
fn files_that_cannot_be_used_are_refused_with_their_name() {
    let verified = format!("{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n");
    let inline = |cert: &str| {
        format!(
            "tls_server_config:\n  cert: |\n    {}\n  key_file: server.key\n",
            cert.replace('\n', "\n    ")
        )
    };
    let (other_key, ca) = (Place::new("").renew().key, Place::new("").authority.cert());
    let none = "No such file or directory (os error 2)";
    for (config, files, message) in [
        (TLS.to_owned(), vec![("server.crt", "")], "server.crt has no certificate in PEM form".to_owned()),
        (TLS.to_owned(), vec![("server.crt", "junk")], "server.crt has no certificate in PEM form".to_owned()),
        (TLS.to_owned(), vec![("server.key", "")], "server.key has no private key in PEM form, without a passphrase".to_owned()),
        (TLS.to_owned(), vec![("server.key", &other_key)], "the key does not belong to the certificate".to_owned()),
        (TLS.replace("server.crt", "none.crt"), vec![], format!("cannot read none.crt: {none}")),
        (TLS.replace("server.key", "none.key"), vec![], format!("cannot read none.key: {none}")),
        (TLS.replace("server.", "none."), vec![], format!("cannot read none.crt: {none}")),
        (TLS.replace("server.key", "."), vec![], "cannot read .: it is not a regular file".to_owned()),
        (TLS.to_owned(), vec![("server.crt", P521_CERT), ("server.key", P521_KEY)], "server.key has a private key of a kind that is not supported; it must be ECDSA on the curve P-256 or P-384, Ed25519, or RSA with 2048 to 4096 bits".to_owned()),
        (inline("junk"), vec![], "tls_server_config.cert has no certificate in PEM form".to_owned()),
        (verified.clone(), vec![], format!("cannot read ca.crt: {none}")),
        (verified.clone(), vec![("ca.crt", "junk")], "ca.crt has no certificate in PEM form".to_owned()),
        (verified.clone(), vec![("ca.crt", VERSION_1)], "ca.crt is an X.509 certificate of version 1, but version 3 is needed; make it with a subjectAltName".to_owned()),
        (TLS.to_owned(), vec![("server.crt", VERSION_1)], "server.crt is an X.509 certificate of version 1, but version 3 is needed; make it with a subjectAltName".to_owned()),
    ] {
        let place = Place::new(&config);
        files.iter().for_each(|(name, text)| place.write(name, text));
        let found = place.load().err();
        // A directory that is read gives the path of the directory itself.
        let wanted = format!("web configuration web.yaml: {message}");
        assert_eq!(found.map(|text| text.replace("/.:", ".:")), Some(wanted), "{config}");
    }
    let place = Place::new(&verified);
    place.write("ca.crt", &ca);
    place.load().unwrap();
}

#[test]
fn a_file_that_is_missing_or_not_text_is_refused() {
    let place = Place::new("");
    std::fs::remove_file(place.path()).unwrap();
    assert_eq!(
        place.load().err().unwrap(),
        "cannot read the web configuration web.yaml: No such file or directory (os error 2)"
    );
    std::fs::write(place.path(), [0xff, 0xfe]).unwrap();
    assert_eq!(place.load().err().unwrap(), "the web configuration web.yaml is not UTF-8 text (byte 0)");
}

#[test]
fn a_file_that_is_no_regular_one_is_refused_instead_of_waited_for() {
    let place = Place::new("");
    std::fs::remove_file(place.path()).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(place.path()).status().unwrap().success());
    assert_eq!(
        place.load().err().unwrap(),
        "cannot read the web configuration web.yaml: it is not a regular file"
    );
}

/// `openssl x509 -req` without a file of extensions.
const VERSION_1: &str = include_str!("../../fixtures/x509-version-1.pem");

/// `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:secp521r1 -nodes`.
const P521_CERT: &str = include_str!("../../fixtures/p521.pem");
const P521_KEY: &str = include_str!("../../fixtures/p521.key.pem");

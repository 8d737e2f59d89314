//! Every key of a web configuration, with values that are accepted and values that are refused.

mod mistakes;

use secrecy::ExposeSecret as _;

use super::*;

const HASH: &str = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";

fn parse(text: &str) -> Result<WebFile, String> {
    WebFile::parse(Path::new("/etc/exporter/web.yaml"), text).map_err(|error| error.to_string())
}

/// A section `tls_server_config` with a pair of files and more `lines`.
fn tls(lines: &str) -> String {
    format!("tls_server_config:\n  cert_file: server.crt\n  key_file: /keys/server.key\n{lines}")
}

fn parsed_tls(lines: &str) -> (TlsSettings, Vec<String>) {
    let file = parse(&tls(lines)).unwrap_or_else(|error| panic!("{lines}: {error}"));
    (file.tls.expect("TLS is on"), file.warnings)
}

#[test]
fn an_empty_file_turns_nothing_on() {
    for text in
        ["", "\n", "# nothing\n", "{}", "---\n", "basic_auth_users:\ntls_server_config:\nrate_limit: {}"]
    {
        let file = parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert!(file.tls.is_none() && file.users.is_empty() && file.headers.is_empty(), "{text:?}");
        assert_eq!((file.http2, file.rate_limit), (Http2::On, None), "{text:?}");
        assert!(file.warnings.is_empty(), "{text:?}");
    }
}

#[test]
fn paths_count_from_the_directory_of_the_file_and_texts_may_be_inline() {
    let (settings, _) = parsed_tls("");
    assert!(matches!(settings.cert, Pem::File(path) if path == Path::new("/etc/exporter/server.crt")));
    assert!(matches!(settings.key, Pem::File(path) if path == Path::new("/keys/server.key")));
    let inline = "tls_server_config:\n  cert: |\n    -----BEGIN\n    abc\n  key: 'k'\n";
    let settings = parse(inline).unwrap().tls.unwrap();
    assert!(matches!(settings.cert, Pem::Inline(text) if text.expose_secret() == "-----BEGIN\nabc\n"));
    assert!(matches!(settings.key, Pem::Inline(text) if text.expose_secret() == "k"));
}

#[test]
fn each_client_policy_has_its_name() {
    for (name, wanted) in [
        ("NoClientCert", ClientAuth::None),
        ("RequestClientCert", ClientAuth::Request),
        ("RequireAnyClientCert", ClientAuth::RequireAny),
        ("RequireClientCert", ClientAuth::RequireAny),
        ("\"RequireAnyClientCert\"", ClientAuth::RequireAny),
    ] {
        assert_eq!(parsed_tls(&format!("  client_auth_type: {name}\n")).0.client_auth, wanted, "{name}");
    }
    for (name, wanted) in [
        ("VerifyClientCertIfGiven", ClientAuth::VerifyIfGiven),
        ("RequireAndVerifyClientCert", ClientAuth::RequireAndVerify),
    ] {
        let lines = format!(
            "  client_auth_type: {name}\n  client_ca_file: ca.crt\n  client_allowed_sans: [a, 'b']\n"
        );
        let (settings, warnings) = parsed_tls(&lines);
        assert_eq!(settings.client_auth, wanted, "{name}");
        assert_eq!(settings.allowed_sans.as_deref(), Some(["a".to_owned(), "b".to_owned()].as_slice()));
        assert!(warnings.is_empty(), "{warnings:?}");
    }
}

#[test]
fn what_cannot_be_done_is_left_out_with_a_warning() {
    let aes = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256";
    for (lines, suites, curves, warnings) in [
        (String::new(), 9, 3, vec![]),
        ("  min_version: TLS13\n".to_owned(), 9, 3, vec![]),
        (
            "  min_version: TLS10\n".to_owned(),
            9,
            3,
            vec!["min_version is TLS10, but the exporter speaks no TLS below 1.2"],
        ),
        (
            "  min_version: TLS11\n".to_owned(),
            9,
            3,
            vec!["min_version is TLS11, but the exporter speaks no TLS below 1.2"],
        ),
        (format!("  cipher_suites: [{aes}]\n"), 4, 3, vec![]),
        (
            format!("  cipher_suites: [TLS_AES_128_GCM_SHA256, {aes}, TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA]\n"),
            4,
            3,
            vec!["the exporter does not support the cipher suite TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"],
        ),
        (
            "  min_version: TLS13\n  cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]\n".to_owned(),
            3,
            3,
            vec!["the exporter does not support the cipher suite TLS_RSA_WITH_RC4_128_SHA"],
        ),
        ("  curve_preferences: [CurveP384, X25519]\n".to_owned(), 9, 2, vec![]),
        (
            "  curve_preferences:\n  - CurveP521\n  - CurveP256\n".to_owned(),
            9,
            1,
            vec!["the exporter does not support the curve CurveP521"],
        ),
        (
            "  client_auth_type: RequireAnyClientCert\n  client_ca: x\n".to_owned(),
            9,
            3,
            vec!["client_ca is not used, because client_auth_type does not verify client certificates"],
        ),
        (
            "  client_auth_type: RequestClientCert\n  client_allowed_sans: [a]\n".to_owned(),
            9,
            3,
            vec![
                "client_allowed_sans protects nothing, because anyone can make a certificate with these names and \
                 client_auth_type does not verify it",
            ],
        ),
    ] {
        let (settings, found) = parsed_tls(&lines);
        assert_eq!(settings.suites.supported().len(), suites, "{lines}");
        assert_eq!(settings.curves.supported().len(), curves, "{lines}");
        assert_eq!(found, warnings, "{lines}");
    }
    let off = parse("tls_server_config: {min_version: TLS12}").unwrap();
    assert!(off.tls.is_none());
    assert_eq!(off.warnings, ["tls_server_config has neither certificate nor key, so TLS is off"]);
}

#[test]
fn the_order_of_suites_and_curves_is_kept() {
    let (settings, _) = parsed_tls(
        "  cipher_suites: [TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]\n  \
         curve_preferences: [CurveP384, X25519]\n  prefer_server_cipher_suites: no\n",
    );
    let suites: Vec<_> =
        settings.suites.supported().iter().map(|suite| format!("{:?}", suite.suite())).collect();
    let wanted = ["TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"];
    assert_eq!(suites.get(3..), Some(wanted.map(str::to_owned).as_slice()));
    let curves: Vec<_> =
        settings.curves.supported().iter().map(|group| format!("{:?}", group.name())).collect();
    assert_eq!(curves, ["secp384r1", "X25519"]);
    assert_eq!(settings.preference, Preference::Client);
}

#[test]
fn headers_users_and_the_rate_limit_are_read() {
    let file = parse(&format!(
        "http_server_config:\n  http2: off\n  headers:\n    X-Frame-Options: deny\n    Content-Security-Policy: \"default-src 'self'\"\n    \
         X-XSS-Protection:\nbasic_auth_users:\n  anna: {HASH}\n  123: '{HASH}'\nrate_limit:\n  interval: 1.5s\n  burst: 20\n"
    ))
    .unwrap();
    assert_eq!(file.http2, Http2::Off);
    let headers: Vec<_> =
        file.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    assert_eq!(headers, [("content-security-policy", "default-src 'self'"), ("x-frame-options", "deny")]);
    assert_eq!(file.users.keys().collect::<Vec<_>>(), ["123", "anna"]);
    assert_eq!(file.rate_limit, Some(RateLimit { interval: Duration::from_millis(1_500), burst: 20 }));
    assert!(file.warnings.is_empty(), "{:?}", file.warnings);
}

#[test]
fn what_is_weak_is_said() {
    let with_cost = |cost: &str| format!("basic_auth_users: {{anna: \"{}\"}}", HASH.replace("$10$", cost));
    for (text, words) in [
        (with_cost("$05$"), "cost below 10"),
        (with_cost("$13$"), "the cost 13: a comparison takes about 0.6 s"),
        (with_cost("$14$"), "the cost 14: a comparison takes about 1.1 s"),
        ("rate_limit: {interval: 1s}".to_owned(), "every request is refused"),
    ] {
        let warnings = parse(&text).unwrap().warnings;
        assert!(warnings.len() == 1 && warnings[0].contains(words), "{text}: {warnings:?}");
    }
    for text in [with_cost("$10$"), with_cost("$12$"), "rate_limit: {interval: 0, burst: 5}".to_owned()] {
        assert!(parse(&text).unwrap().warnings.is_empty(), "{text}");
    }
}

#[test]
fn no_message_shows_a_password_a_hash_or_a_key() {
    let secret = "S3cr3t-that-nobody-may-see";
    for text in [
        format!("basic_auth_users: {{anna: {secret}}}"),
        format!("basic_auth_users: {{anna: {{{secret}: x}}}}"),
        format!("basic_auth_users: {{{secret}: {HASH}, {secret}: {HASH}}}"),
        format!("basic_auth_users: {secret}"),
        format!("{secret}: x"),
        format!("tls_server_config: {{key: {secret}}}"),
        format!("tls_server_config: {{key: [{secret}]}}"),
        format!("tls_server_config: {{key: {secret}, key_file: y}}"),
        format!("tls_server_config: {{key: \"{secret}"),
    ] {
        let error = parse(&text).err().unwrap();
        assert!(!error.contains(secret), "{error}");
    }
    let file = parse(&format!(
        "tls_server_config: {{cert: {secret}, key: {secret}}}\nbasic_auth_users: {{anna: {HASH}}}"
    ));
    let debug = format!("{file:?}");
    assert!(!debug.contains(secret) && !debug.contains(HASH), "{debug}");
}

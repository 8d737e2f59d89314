//! Web configurations with mistakes: each has its line, and all are found at once.

use std::path::Path;

use super::{HASH, WebFile, parse, tls};

#[test]
fn a_mistake_is_refused_with_its_line() {
    let suites = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256";
    for (text, line, message) in [
        ("junk".to_owned(), 1, "the web configuration must be a map"),
        (
            format!("basic_auth_users: {{anna: \"{}\"}}", HASH.replace("$10$", "$15$")),
            1,
            "basic_auth_users.anna has the cost 15, but the highest is 14: each step doubles the time that a comparison takes, and other logins wait for it",
        ),
        (
            "tls_config: {}".to_owned(),
            1,
            "tls_config is not a known key; known keys: tls_server_config, http_server_config, basic_auth_users, rate_limit",
        ),
        (
            "tls_server_configg: {}".to_owned(),
            1,
            "tls_server_configg is not a known key; did you mean tls_server_config?",
        ),
        (
            tls("  cert_files: x\n"),
            4,
            "tls_server_config.cert_files is not a known key; did you mean tls_server_config.cert_file?",
        ),
        (tls("  key_file: x\n"), 4, "key_file is given twice, first on line 3"),
        ("tls_server_config: x".to_owned(), 1, "tls_server_config must be a map"),
        (
            "tls_server_config: {cert_file: x, key_file: ''}".to_owned(),
            1,
            "tls_server_config lacks key or key_file, which TLS needs",
        ),
        (
            "tls_server_config: {cert_file: '', key_file: x}".to_owned(),
            1,
            "tls_server_config lacks cert or cert_file, which TLS needs",
        ),
        (
            "\ntls_server_config:\n  cert: ''\n  key: x\n".to_owned(),
            2,
            "tls_server_config lacks cert or cert_file, which TLS needs",
        ),
        (
            tls("  cert: x\n"),
            1,
            "tls_server_config has both cert and cert_file, but only one of them may be given",
        ),
        (tls("  cert: [x]\n"), 4, "tls_server_config.cert must be a single value"),
        (
            tls("  client_ca_file: x\n"),
            1,
            "tls_server_config has a client_ca, but client_auth_type asks for no client certificate",
        ),
        (
            tls("  client_auth_type: RequireAndVerifyClientCert\n"),
            1,
            "tls_server_config verifies client certificates, but has neither client_ca nor client_ca_file",
        ),
        (
            tls("  client_allowed_sans: [a]\n"),
            1,
            "tls_server_config has client_allowed_sans, but client_auth_type asks for no client certificate",
        ),
        (
            tls("  client_auth_type: Require\n"),
            4,
            "tls_server_config.client_auth_type is \"Require\", but must be NoClientCert, RequestClientCert, RequireAnyClientCert, VerifyClientCertIfGiven or RequireAndVerifyClientCert",
        ),
        (
            tls("  min_version: TLS14\n"),
            4,
            "tls_server_config.min_version is \"TLS14\", but must be TLS10, TLS11, TLS12 or TLS13",
        ),
        (
            tls("  max_version: 1.2\n"),
            4,
            "tls_server_config.max_version is \"1.2\", but must be TLS10, TLS11, TLS12 or TLS13",
        ),
        (
            tls("  max_version: TLS11\n"),
            4,
            "tls_server_config.max_version would leave only versions below TLS 1.2, which the exporter does not speak",
        ),
        (
            tls("  min_version: TLS13\n  max_version: TLS12\n"),
            5,
            "tls_server_config.max_version is lower than min_version",
        ),
        (tls("  cipher_suites: TLS\n"), 4, "tls_server_config.cipher_suites must be a list"),
        (
            tls("  cipher_suites:\n  - TLS_MADE_UP\n"),
            5,
            "tls_server_config.cipher_suites is \"TLS_MADE_UP\", but must be a cipher suite that Go knows",
        ),
        (
            tls("  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]\n"),
            4,
            "tls_server_config.cipher_suites lacks TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 and TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, \
             of which HTTP/2 requires one; add it, or set http_server_config.http2 to false",
        ),
        (
            tls(
                "  max_version: TLS12\n  cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]\nhttp_server_config: {http2: false}\n",
            ),
            5,
            "tls_server_config.cipher_suites has no suite that the exporter supports in TLS 1.2",
        ),
        (
            tls("  curve_preferences: [CurveP224]\n"),
            4,
            "tls_server_config.curve_preferences is \"CurveP224\", but must be X25519, CurveP256, CurveP384 or CurveP521",
        ),
        (
            tls("  curve_preferences: [CurveP521]\n"),
            4,
            "tls_server_config.curve_preferences has no curve that the exporter supports: X25519, CurveP256 or CurveP384",
        ),
        (
            tls("  curve_preferences: [[X25519]]\n"),
            4,
            "tls_server_config.curve_preferences must be a list of texts",
        ),
        (
            tls("  prefer_server_cipher_suites: 1\n"),
            4,
            "tls_server_config.prefer_server_cipher_suites is \"1\", but must be true or false",
        ),
        (
            "http_server_config: {http2: maybe}".to_owned(),
            1,
            "http_server_config.http2 is \"maybe\", but must be true or false",
        ),
        (
            "http_server_config: {headers: {X-Frame-Options: never}}".to_owned(),
            1,
            "http_server_config.headers.X-Frame-Options is \"never\", but must be deny or sameorigin",
        ),
        (
            "http_server_config: {headers: {X-Content-Type-Options: sniff}}".to_owned(),
            1,
            "http_server_config.headers.X-Content-Type-Options is \"sniff\", but must be nosniff",
        ),
        (
            "http_server_config: {headers: {Server: x}}".to_owned(),
            1,
            "http_server_config.headers.Server is not a known key; known keys: Content-Security-Policy, X-Frame-Options, X-Content-Type-Options, X-XSS-Protection, Strict-Transport-Security",
        ),
        (
            "http_server_config: {headers: {X-XSS-Protection: \"a\\nb\"}}".to_owned(),
            1,
            "http_server_config.headers.X-XSS-Protection is \"a\\nb\", but must be text that is allowed in an HTTP header",
        ),
        ("basic_auth_users: [anna]".to_owned(), 1, "basic_auth_users must be a map"),
        ("basic_auth_users:\n  anna:\n".to_owned(), 2, "basic_auth_users.anna is empty"),
        (
            "basic_auth_users:\n  anna: my-password\n".to_owned(),
            2,
            "basic_auth_users.anna is not a bcrypt hash; `htpasswd -nBC 12 \"\"` makes one",
        ),
        (
            format!("basic_auth_users: {{anna: \"{}\"}}", HASH.replace("$10$", "$03$")),
            1,
            "basic_auth_users.anna is not a bcrypt hash; `htpasswd -nBC 12 \"\"` makes one",
        ),
        (
            format!("basic_auth_users: {{anna: \"{}\"}}", HASH.replace("$10$", "$32$")),
            1,
            "basic_auth_users.anna is not a bcrypt hash; `htpasswd -nBC 12 \"\"` makes one",
        ),
        (
            format!("basic_auth_users:\n  'a:b': \"{HASH}\"\n"),
            2,
            "basic_auth_users.a has a colon in the user's name, which HTTP cannot send",
        ),
        (
            "rate_limit: {interval: 1}".to_owned(),
            1,
            "rate_limit.interval is \"1\", but must be a duration such as 500ms, 1s or 1m30s, or 0 for no limit",
        ),
        (
            "rate_limit: {interval: -1s}".to_owned(),
            1,
            "rate_limit.interval is \"-1s\", but must be a duration such as 500ms, 1s or 1m30s, or 0 for no limit",
        ),
        (
            "rate_limit: {interval: 1s, burst: +1}".to_owned(),
            1,
            "rate_limit.burst is \"+1\", but must be a whole number from 0 to 4294967295",
        ),
        (
            "rate_limit: {interval: 1s, burst: 1.5}".to_owned(),
            1,
            "rate_limit.burst is \"1.5\", but must be a whole number from 0 to 4294967295",
        ),
    ] {
        let error = parse(&text).err();
        assert_eq!(error, Some(format!("/etc/exporter/web.yaml:{line}: {message}")), "{text}");
    }
    // The parser itself also knows the column.
    let alias = parse(&format!("tls_server_config: {{cipher_suites: [&a {suites}, *a]}}")).err();
    let message = "/etc/exporter/web.yaml:1:40: YAML anchors, aliases and tags are not supported";
    assert_eq!(alias.as_deref(), Some(message));
}

/// The lines of the mistakes, each with the beginning of its message.
fn mistakes(text: &str) -> Vec<(usize, String)> {
    let error = WebFile::parse(Path::new("web.yaml"), text).unwrap_err();
    let mistakes = error.shown().iter().map(|mistake| {
        let (_, line, _) = mistake.position().expect("each mistake has its line");
        let words = mistake.problem().split(' ').take(4).collect::<Vec<_>>();
        (line, words.join(" "))
    });
    mistakes.collect()
}

#[test]
fn all_mistakes_are_found_at_once_in_the_order_of_their_lines() {
    let text = "\
tls_server_config:
  cert: [x]
  key: x
  key_file: y
  min_version: TLS14
  max_version: TLS11
  cipher_suites: [TLS_MADE_UP, TLS_RSA_WITH_RC4_128_SHA, TLS_INVENTED]
  curve_preferences:
  - CurveP224
  - [X25519]
  client_auth_type: Require
  prefer_server_cipher_suites: 1
http_server_config:
  http2: maybe
  headers:
    X-Frame-Options: never
    Server: x
    X-Content-Type-Options: sniff
basic_auth_users:
  anna: my-password
  ben:
  'c:d': my-password
rate_limit: {interval: 1, burst: -1}
rate_limits: {}
";
    let wanted = [
        (1, "tls_server_config has both key"),
        (2, "tls_server_config.cert must be a"),
        (5, "tls_server_config.min_version is \"TLS14\", but"),
        (6, "tls_server_config.max_version would leave only"),
        (7, "tls_server_config.cipher_suites is \"TLS_MADE_UP\", but"),
        (7, "tls_server_config.cipher_suites is \"TLS_INVENTED\", but"),
        (10, "tls_server_config.curve_preferences must be a"),
        (11, "tls_server_config.client_auth_type is \"Require\", but"),
        (12, "tls_server_config.prefer_server_cipher_suites is \"1\", but"),
        (14, "http_server_config.http2 is \"maybe\", but"),
        (16, "http_server_config.headers.X-Frame-Options is \"never\", but"),
        (17, "http_server_config.headers.Server is not a"),
        (18, "http_server_config.headers.X-Content-Type-Options is \"sniff\", but"),
        (21, "basic_auth_users.ben is empty"),
        (23, "rate_limit.interval is \"1\", but"),
        (23, "rate_limit.burst is \"-1\", but"),
        (24, "rate_limits is not a"),
    ];
    assert_eq!(mistakes(text), wanted.map(|(line, words)| (line, words.to_owned())));
}

#[test]
fn a_mistake_is_not_the_reason_for_others() {
    let lacks = |name| (1, format!("tls_server_config lacks {name} or"));
    for (text, wanted) in [
        ("tls_server_config: {client_auth_type: NoClientCert}", vec![lacks("cert"), lacks("key")]),
        (
            "tls_server_config: {client_ca_file: x}",
            vec![lacks("cert"), lacks("key"), (1, "tls_server_config has a client_ca,".to_owned())],
        ),
        // What is misspelled, or wrong, is not missing too.
        (
            "tls_server_config: {cert_fil: x, key: y}",
            vec![(1, "tls_server_config.cert_fil is not a".to_owned())],
        ),
        (
            "tls_server_config: {cert: [x], key: y, client_ca_file: z, client_auth_typ: NoClientCert}",
            vec![
                (1, "tls_server_config.client_auth_typ is not a".to_owned()),
                (1, "tls_server_config.cert must be a".to_owned()),
            ],
        ),
        // Whether the suites are enough for HTTP/2 is not known.
        (
            "tls_server_config: {cert: x, key: y, cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]}\n\
             http_server_config: {http2: maybe}",
            vec![(2, "http_server_config.http2 is \"maybe\", but".to_owned())],
        ),
        (
            "tls_server_config: {cert: x, key: y, min_version: TLS14, cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]}",
            vec![(1, "tls_server_config.min_version is \"TLS14\", but".to_owned())],
        ),
        (
            "tls_server_config: {cert: x, key: y, min_version: TLS14, max_version: TLS12}",
            vec![(1, "tls_server_config.min_version is \"TLS14\", but".to_owned())],
        ),
        // Nothing is said about the keys of a section that cannot be read.
        ("tls_server_config: x", vec![(1, "tls_server_config must be a".to_owned())]),
        ("tls_server_confi: {cert: x}", vec![(1, "tls_server_confi is not a".to_owned())]),
        (
            "basic_auth_users:\n  anna: x\n  'b:c': x\n",
            vec![
                (2, "basic_auth_users.anna is not a".to_owned()),
                (3, "basic_auth_users.b has a colon".to_owned()),
                (3, "basic_auth_users.b is not a".to_owned()),
            ],
        ),
    ] {
        assert_eq!(mistakes(text), wanted, "{text}");
    }
}

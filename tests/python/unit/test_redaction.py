"""Known secrets are taken out of every text, however they are written there."""

from __future__ import annotations

import html
import json
import shlex
import time
from base64 import b64encode, urlsafe_b64encode
from itertools import cycle
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gitops_rollback import options, redaction

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = "hunter2/Geheim+'\"Ü&?"
SECRETS = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=["Cc", "Cs", "Zs"]),
    min_size=8,
    max_size=60,
)


@pytest.fixture(autouse=True)
def _nothing_known() -> None:
    redaction.forget()


def test_nothing_is_hidden_where_nothing_is_known() -> None:
    assert redaction.hide("GIT_PASSWORD is not set") == "GIT_PASSWORD is not set"


FORMS = {
    "as it is": SECRET,
    "percent-encoded": quote(SECRET, safe=""),
    "percent-encoded in small letters": quote(SECRET, safe="").replace("%2F", "%2f"),
    "percent-encoded as a path": quote(SECRET),
    "as a form": quote_plus(SECRET),
    "as JSON": json.dumps(SECRET),
    "as JSON without escapes": json.dumps(SECRET, ensure_ascii=False),
    "as Python": repr(SECRET),
    "for a shell": shlex.quote(SECRET),
    "in hexadecimal digits": SECRET.encode().hex(),
    "in large ones": SECRET.encode().hex().upper(),
    "percent-encoded twice": quote(quote(SECRET, safe=""), safe=""),
    "as PHP writes JSON": json.dumps(SECRET, ensure_ascii=False).replace("/", "\\/"),
    "as Go writes JSON": json.dumps(SECRET, ensure_ascii=False).replace("&", "\\u0026"),
    "on a page": html.escape(SECRET),
    "in a page's text": html.escape(SECRET, quote=False),
    "on a page of Go's": html.escape(SECRET).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
    "in a job's configuration": html.escape(SECRET).replace("&#x27;", "&apos;"),
    "percent-encoded, broken within a byte": "\n".join(
        quote(SECRET, safe="").partition("%2F")[::2]
    ).replace("\n", "%\n2F"),
    "on a page within an address": quote(html.escape(SECRET), safe=""),
    "as JSON of a page": json.dumps(html.escape(SECRET)).replace("&", "\\u0026"),
    "percent-encoded on a page twice": html.escape(html.escape(quote(SECRET, safe="/'&?"))),
    "on two lines": f"{SECRET[:7]}\n   {SECRET[7:]}",
    "with a line end in words": f"{SECRET[:7]}\\n{SECRET[7:]}",
    "as a server says it to git": f"remote: {SECRET[:7]}\nremote: {SECRET[7:]}",
    "a letter a line": "\r\n".join(SECRET),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_secret_is_hidden(form: str) -> None:
    redaction.know(SECRET)
    hidden = redaction.hide(f"before {form} after")
    assert "***" in hidden
    assert hidden.startswith("before ")
    assert hidden.endswith(" after")
    for part in (SECRET[:6], quote(SECRET)[-6:], SECRET.encode().hex()[:8]):
        assert part not in hidden


ENCODERS = (
    lambda char: "".join(f"%{byte:02x}" for byte in char.encode()),
    lambda char: "".join(f"%25{byte:02X}" for byte in char.encode()),
    lambda char: "".join(f"\\{byte:03o}" for byte in char.encode()),
    lambda char: "".join(f"\\x{byte:02x}" for byte in char.encode()),
    lambda char: json.dumps(char)[1:-1] if ord(char) > 0x7F else f"\\u{ord(char):04X}",
    lambda char: f"\\\\u{ord(char):04x}",
    lambda char: f"&#{ord(char)};",
    lambda char: f"&amp;#x{ord(char):05X};",
)


@given(
    SECRETS.filter(lambda secret: not set(secret) & set("\\+")),  # which mean nothing at an end
    st.lists(st.sampled_from(ENCODERS), min_size=1),
)
@example("p@ss%41&lt;word", [ENCODERS[0]])
def test_a_secret_is_hidden_whichever_of_its_characters_are_written_in_which_way(
    secret: str, ways: list[Callable[[str], str]]
) -> None:
    redaction.forget()
    redaction.know(secret)
    text = "".join(way(char) for way, char in zip(cycle(ways), secret, strict=False))
    assert redaction.hide(f"before {text} after") == "before *** after"


def test_what_cannot_be_told_apart_in_a_long_text_takes_no_long_time() -> None:
    redaction.know(SECRET)
    for text in ("\\" * 300_000, "%25" * 100_000, "&" + "amp;" * 75_000, "'\\" * 150_000):
        began = time.process_time()
        assert redaction.hide(text) == text
        assert time.process_time() - began < 20, "a quadratic one takes minutes"


@pytest.mark.parametrize("user", ["", "u", "us", "use", "robot"])
@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode])
def test_a_secret_is_hidden_in_the_header_of_basic_authentication(
    user: str, encode: type[bytes]
) -> None:
    redaction.know("hunter2-Geheim")
    header = encode(f"{user}:hunter2-Geheim".encode()).decode()
    hidden = redaction.hide(f"Authorization: Basic {header}")
    assert "***" in hidden
    assert len(hidden) < len("Authorization: Basic ***") + len(user) + 12


def test_a_secret_is_hidden_in_a_header_that_is_percent_encoded() -> None:
    redaction.know(">>>???~~~")
    text = quote(b64encode(b"jane:>>>???~~~").decode(), safe="")
    assert "%2F" in text
    assert quote(b64encode(b">>>???~~~").decode()[4:-4], safe="") not in redaction.hide(text)


@given(SECRETS, st.text(max_size=40), st.integers(0, 60))
def test_no_secret_survives_in_any_text(secret: str, around: str, cut: int) -> None:
    redaction.forget()
    redaction.know(secret)
    broken = f"{secret[:cut]}\n  {secret[cut:]}"
    encoded = b64encode(f"{around}:{secret}".encode(errors="surrogatepass")).decode()
    for text in (secret, broken, quote(secret), json.dumps(secret), encoded[: cut or 1]):
        hidden = redaction.hide(around + text + around)
        assert secret not in hidden
        assert "".join(secret.split()) not in "".join(hidden.split()).replace("***", "")


@given(st.text(max_size=300))
def test_a_text_without_the_secret_stays_as_it_is(text: str) -> None:
    redaction.forget()
    redaction.know("T7#k-not-in-there")
    if "://" not in text:
        assert redaction.hide(text) == text


def test_a_short_secret_is_hidden_where_it_stands_and_not_where_its_letters_do() -> None:
    redaction.know("main")
    assert redaction.hide("main") == "***"
    assert redaction.hide("ma in m a i n") == "ma in m a i n"


def test_three_letters_are_no_secret() -> None:
    redaction.know("abc", "", None)
    assert redaction.hide("abc") == "abc"


@pytest.mark.parametrize(
    "address",
    [
        "https://user:a/hunter2SECRET@git.invalid/x.git",
        "https://user:a#hunter2SECRET@git.invalid/x.git",
        "https://user:a?hunter2SECRET@git.invalid/x.git",
        "https://user:hunter2SECRET@git.invalid:99999/x.git",
        "https://hunter2SECRET+hunter2SECRET@git.invalid:0/x.git",
        "user:hunter2SECRET@git.invalid:x.git",
        "see https://user:hunter2SECRET@git.invalid/x",
    ],
)
def test_a_password_in_an_address_is_known_and_hidden(address: str) -> None:
    redaction.know_addresses([address])
    for text in (address, f"'{address}' is no repository", address.replace("/", "%2F")):
        assert "hunter2SECRET" not in redaction.hide(text)
    secret = "hunter2SECRET" + "+hunter2SECRET" * ("+" in address)
    assert "hunter2SECRET" not in redaction.hide(f"fatal: host {secret} is not there")


SECRET_IN = {
    "a slash": "https://user:a/{}@git.invalid/x.git",
    "an at sign": "https://user:p@{}@git.invalid/x.git",
    "an at sign behind it": "https://user:{}@p@git.invalid/x.git",
    "a quote": "https://user:a'{}@git.invalid/x.git",
    "a blank": "https://user:a {}@git.invalid/x.git",
    "a line end": "https://user:a\n{}@git.invalid/x.git",
    "one slash": "https:/user:{}@git.invalid/x.git",
    "no slash": "https:user:{}@git.invalid/x.git",
    "no scheme": "user:{}@git.invalid/x.git",
    "slashes alone": "//user:{}@git.invalid/x.git",
    "backslashes": "https:\\\\user:{}@git.invalid/x.git",
    "no host": "https://user:{}",
    "no host behind the at sign": "https://user:{}@",
    "an at sign that is encoded": "https://user:{}%40git.invalid/x.git",
    "an at sign of another width": "https://user:{}\uff20git.invalid/x.git",
    "blanks before it": "  https://user:{}@git.invalid/x.git",
    "a port that is none": "https://user:{}@git.invalid:abc/x.git",
    "a bracket": "https://user:{}@[git.invalid/x.git",
    "a list": "cart=https://user:{}@[git.invalid/x.git",
    "an image": "user:{}@reg.invalid/acme/cart:1@sha256:" + "a" * 64,
}


@pytest.mark.parametrize("form", SECRET_IN.values(), ids=SECRET_IN)
@pytest.mark.parametrize("option", redaction.ADDRESSES)
def test_what_has_to_be_an_address_gives_no_password_away_however_malformed(
    form: str, option: str
) -> None:
    address = form.format("hunter2SECRET")
    for arguments, variables in (
        (["plan", f"--{option}", address], {}),
        (["plan", f"--{option}={address}"], {}),
        ([], {redaction.variable_of(option): address}),
    ):
        redaction.forget()
        redaction.know_arguments(arguments)
        redaction.know_environment(variables)
        for said in (address, repr(address), " ".join(address.split()), json.dumps(address)):
            assert "hunter2SECRET" not in redaction.hide(f"error: {said} is no address")


@pytest.mark.parametrize("form", SECRET_IN.values(), ids=SECRET_IN)
@pytest.mark.parametrize("written", ["{}", "--repositry {}", "--repositry={}", "GITOPS_SERVICE={}"])
def test_an_address_gives_no_password_away_where_none_belongs(form: str, written: str) -> None:
    address = form.format("hunter2SECRET")
    name, equals, _ = written.partition("=")
    if name.isupper():
        redaction.know_environment({name: address})
    else:
        words = [f"{name}={address}"] if equals else [*written.split()[:-1], address]
        redaction.know_arguments(["plan", *words, "--dry-run"])
    assert "hunter2SECRET" not in redaction.hide(f"error: '{address}' is no service")


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("store", "directory:/var/jenkins/workspace/shop@2/store"),
        ("store", "directory:../shop@2/store"),
        ("repository", "file:///var/jenkins/workspace/shop@2/manifests.git"),
        ("repository", "/var/jenkins/workspace/shop@2/manifests.git"),
        ("cache", "/var/jenkins/workspace/shop@2/cache"),
        ("path", "/opt/x.y:/var/jenkins/workspace/shop@2:/usr/bin"),
        ("reason", "mailto:jane@acme.example"),
        ("reason", "jane@acme.example: see https://host/x#L10"),
    ],
)
def test_a_folder_with_an_at_sign_in_it_is_no_address_with_a_password(
    option: str, text: str
) -> None:
    redaction.know_environment({"PATH": text, redaction.variable_of(option): text})
    redaction.know_arguments(["plan", f"--{option}", text, f"--{option}={text}"])
    written = () if option == "path" else (text, f"written to {text}/1")
    for said in (*written, "/var/jenkins/workspace/shop", "jane"):
        assert redaction.hide(said) == said


@pytest.mark.parametrize("arguments", [[], ["plan", "--repository"], ["plan", "--to="]])
def test_a_command_line_that_ends_early_tells_nothing(arguments: list[str]) -> None:
    redaction.know_arguments(arguments)
    assert redaction.hide("plan --repository --to=") == "plan --repository --to="


def test_every_option_that_is_an_address_is_looked_through() -> None:
    rows = [row for row in options.TABLE if row.commands]
    assert {row.name for row in rows if row.metavar == "URL"} <= set(redaction.ADDRESSES)
    assert set(redaction.ADDRESSES) <= {row.name for row in rows}


@pytest.mark.parametrize(
    ("said", "hidden"),
    [
        ("https://store/x?X-Amz-Signature=0a1b2c&n=1", "https://store/x?X-Amz-Signature=***&n=1"),
        ("https://h/m.git?private_token=abcdef", "https://h/m.git?private_token=***"),
        ("https://h/m.git#access_token=abcdef", "https://h/m.git#access_token=***"),
        ("> Authorization: Basic dXNlcjpwYXNz", "> Authorization: Basic ***"),
        ('{"authorization": "Bearer ab.cd-ef"}', '{"authorization": "Bearer ***"}'),
        ("remote: use ghp_0123456789abcdefghij instead", "remote: use *** instead"),
        ("glpat-0123456789abcdefghij, dckr_pat_0123456789abcdefg", "***, ***"),
        ("https://a:b@c@d.example/x", "https://***@d.example/x"),
    ],
)
def test_what_looks_like_a_secret_is_hidden_although_nobody_knows_of_it(
    said: str, hidden: str
) -> None:
    assert redaction.hide(said) == hidden


def test_a_user_in_an_address_is_hidden_although_nobody_knows_of_it() -> None:
    said = "fatal: https://ghp_abcdef:x@git.invalid/x.git is not there"
    assert redaction.hide(said) == "fatal: https://***@git.invalid/x.git is not there"


@pytest.mark.parametrize(
    "word",
    [
        "acme/cart:1.4.2@sha256:12ab",
        "cart=cart:1.4.2@sha256:12ab",
        "git@github.com:acme/manifests.git",
        "ssh://git@github.com/acme/manifests.git",
        "https://host:8443/a/b",
        "https://host:8443/job/feature%40x/7/",
        "registry.example:8443/acme/cart",
        "/srv/git:8443/host@a.git",
    ],
)
def test_what_is_no_password_is_not_taken_for_one(word: str) -> None:
    redaction.know_addresses([word])
    redaction.know_address(word)
    for text in ("1.4.2", "acme/cart:1.4.2", "git", "github.com", "8443"):
        assert redaction.hide(text) == text


def test_the_variables_of_secrets_are_known_and_those_of_a_proxy() -> None:
    variables = dict.fromkeys(redaction.VARIABLES, "")
    environment = {name: f"secret-of-{name}" for name in variables}
    environment["HTTPS_PROXY"] = "http://me:proxy-secret@proxy.acme.example:3128"
    redaction.know_environment(environment)
    for secret in (*(f"secret-of-{name}" for name in variables), "proxy-secret"):
        assert redaction.hide(f"<{secret}>") == "<***>"


def test_of_further_headers_what_is_secret_is_known_and_what_names_things_is_not() -> None:
    lines = (
        "Authorization: Bearer gate-7\nCookie: a=first-9; session=second-9\nX-Api-Key: thirds\n"
        "X-Gate: fourth0123456789abc\nX-Forwarded-Host: jenkins.corp.example\nno header"
    )
    redaction.know_environment({"JENKINS_API_EXTRA_HEADERS": lines})
    said = "gate-7 first-9 second-9 thirds fourth0123456789abc jenkins.corp.example header"
    assert redaction.hide(said) == "*** *** *** *** *** jenkins.corp.example header"


@pytest.mark.parametrize(
    "command",
    ["sshpass -p hunter2! ssh", "sshpass -v -phunter2! ssh", "/bin/sshpass -p 'hunter2!' ssh -v"],
)
def test_a_password_for_ssh_is_hidden(command: str) -> None:
    redaction.know_environment({"GIT_SSH_COMMAND": command, "SSHPASS": "by-a-variable"})
    said = redaction.hide(f"error: cannot run {command}, by-a-variable")
    assert said == f"error: cannot run {command.replace('hunter2!', '***')}, ***"


def test_a_document_is_hidden_in_keys_and_values() -> None:
    redaction.know("hunter2!")
    document = {"hunter2!": ["a hunter2!", 1, None, True], "b": {"c": "hunter2!"}}
    assert redaction.hide_in(document) == {"***": ["a ***", 1, None, True], "b": {"c": "***"}}


def test_hiding_takes_no_longer_than_the_text_is_long() -> None:
    redaction.know("hunter2 with blanks")
    for text in ("h" * 1_000_000, "h\n" * 500_000, ("hunter2" + " " * 59) * 15_000):
        assert redaction.hide(text) == text

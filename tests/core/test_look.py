"""Colours that can be read, and logos that can be shown."""

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from core import catalogue, errors, look

CSS = Path("webhooks/pages/site.css")
PNG = b"\x89PNG\r\n\x1a\n"


def palette(text: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", text))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_of_the_pages_can_be_read_on_every_ground(scheme: str) -> None:
    light, dark = CSS.read_text().split("@media (prefers-color-scheme: dark)")[:2]
    found = palette(light if scheme == "light" else dark[: dark.index("*, *::before")])
    grounds = [found[name] for name in ("paper", "card", "tint")]
    assert tuple(grounds) == (look.LIGHT if scheme == "light" else look.DARK)
    for text in ("ink", "soft", "good", "bad", "wait", "accent"):
        for ground in grounds:
            assert look.contrast(found[text], ground) >= look.READABLE, (text, ground)
    for text, ground in (("on-flag", "flag"), ("on-accent", "accent")):
        assert look.contrast(found[text], found[ground]) >= look.READABLE


def test_contrast_is_that_of_the_standard() -> None:
    assert look.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert look.contrast("#ffffff", "#767676") == pytest.approx(4.54, abs=0.01)
    assert look.contrast("#123456", "#123456") == 1


@pytest.mark.parametrize("ground", ["#000000", "#ffffff", "#777777", "#ff0000", "#0b6b5b", "#63d2b6"])
def test_what_stands_on_a_button_can_be_read_whatever_its_colour(ground: str) -> None:
    assert look.contrast(look.ink(ground), ground) >= look.READABLE


def test_an_unreadable_colour_is_a_fault_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"#ffcc00 cannot be read .* choose a darker colour"):
        catalogue.Service(colour="#ffcc00")
    with pytest.raises(ValidationError, match=r"#0b6b5b cannot be read .* choose a lighter colour"):
        catalogue.Service(colour_dark="#0b6b5b")
    file = tmp_path / "signalstack.toml"
    file.write_text('[service]\ncolour = "red"\n')
    with pytest.raises(errors.ConfigError, match=r"^signalstack.toml: service.colour: write the colour as #rrggbb"):
        catalogue.read(file)
    assert catalogue.Service(colour="#1D4ED8").colour == "#1d4ed8"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (None, "cannot be read: No such file"),
        (b"<svg onload='x()'/>", "neither a PNG nor a WebP"),
        (b"GIF89a", "neither a PNG nor a WebP"),
        (b"", "neither a PNG nor a WebP"),
        (PNG + bytes(look.LOGO_BYTES), "too large; at most 20 kB"),
    ],
)
def test_a_logo_that_cannot_be_shown_is_a_fault(tmp_path: Path, data: bytes | None, says: str) -> None:
    if data is not None:
        (tmp_path / "logo.png").write_bytes(data)
    file = tmp_path / "signalstack.toml"
    file.write_text('[service]\nlogo = "logo.png"\n')
    with pytest.raises(errors.ConfigError, match=says):
        catalogue.read(file)


@pytest.mark.parametrize(("data", "kind"), [(PNG, "image/png"), (b"RIFF....WEBPVP8 ", "image/webp")])
def test_a_logo_lies_beside_the_catalogue(tmp_path: Path, data: bytes, kind: str) -> None:
    (tmp_path / "logo").write_bytes(data)
    file = tmp_path / "signalstack.toml"
    file.write_text('[service]\nlogo = "logo"\n')
    assert look.logo(Path(catalogue.read(file).service.logo)) == (kind, data)

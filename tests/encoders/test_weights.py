import http.server
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest
import torch

from avadclip.config.architectures import image_size, known_encoders, read_architecture
from avadclip.config.features import Visual, Weights
from avadclip.device import resolve_device
from avadclip.encoders.weights import OPENAI_CLIPS, Published, cache_folder, hash_ahead, locate
from avadclip.errors import ConfigError, WeightsError
from avadclip.io import sha256_of

ZEROS = "0" * 64
OPENAI = OPENAI_CLIPS["ViT-B-16-quickgelu"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AVADCLIP_WEIGHTS", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def server(tmp_path):
    """A web server on this machine that offers `model.pt` and records the requests."""
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "model.pt").write_bytes(b"weights" * 100_000)
    requests = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            requests.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder)) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        running.url, running.requests = f"http://127.0.0.1:{running.server_port}/model.pt", requests
        running.sha256 = sha256_of(folder / "model.pt")
        yield running
        running.shutdown()


def test_published_file_is_fetched_once(server, cache):
    published = Published("model.pt", server.url)
    for _ in range(2):
        path = locate(Weights(sha256=server.sha256), published)
        assert path == cache / "model.pt"
        assert sha256_of(path) == server.sha256
    assert server.requests == ["/model.pt"]


def test_what_the_team_shares_comes_first_and_has_to_be_pulled(server, cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    published, weights = Published("model.pt", server.url), Weights(sha256=server.sha256)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "model.pt.dvc").touch()
    with pytest.raises(WeightsError, match=r"run `dvc pull weights/model\.pt\.dvc`"):
        locate(weights, published)
    (tmp_path / "weights" / "model.pt").write_bytes((tmp_path / "web" / "model.pt").read_bytes())
    assert locate(weights, published) == Path("weights/model.pt")
    (tmp_path / "weights" / "model.pt").write_bytes(b"x")
    with pytest.raises(WeightsError, match=r"weights/model\.pt: not the pinned weights"):
        locate(weights, published)
    assert server.requests == []


def test_wrong_download_is_not_kept(server, cache):
    with pytest.raises(WeightsError, match=f"{server.url}.*expected sha256 {ZEROS}, found {server.sha256}"):
        locate(Weights(sha256=ZEROS), Published("model.pt", server.url))
    assert list(cache.iterdir()) == []


def test_weights_that_are_not_pinned_are_not_used_but_named(server, cache):
    published = Published("model.pt", server.url)
    for _ in range(2):
        with pytest.raises(WeightsError, match=f"sha256: not pinned yet; .*model.pt has sha256 {server.sha256}"):
            locate(Weights(sha256=None), published)
    assert server.requests == ["/model.pt"]  # what was fetched is kept, to be pinned


def test_damage_in_the_cache_is_noticed(server, cache):
    published = Published("model.pt", server.url)
    locate(Weights(sha256=server.sha256), published)
    (cache / "model.pt").write_bytes(b"x")
    with pytest.raises(WeightsError, match=r"model\.pt: not the pinned weights: expected sha256"):
        locate(Weights(sha256=server.sha256), published)


def test_without_network_the_message_says_what_to_do(cache):
    published = Published("model.pt", "http://127.0.0.1:9/model.pt")  # port 9 (discard): nobody listens
    with pytest.raises(WeightsError) as caught:
        locate(Weights(sha256=ZEROS), published, key="visual.weights")
    for part in (published.url, ZEROS, str(cache / "model.pt"), "`visual.weights.path`"):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("path", "published", "message"),
    [
        ("nowhere.pt", OPENAI, f"audio.weights.path: nowhere.pt: no such file.*{OPENAI.url}"),
        ("nowhere.pt", None, f"audio.weights.path: nowhere.pt: no such file \\(expected sha256 {ZEROS}\\)$"),
        (None, None, "audio.weights.path: missing; nothing is published for this encoder"),
        (__file__, None, f"test_weights.py: not the pinned weights: expected sha256 {ZEROS}, found"),
    ],
)
def test_missing_and_wrong_files_are_named(path, published, message):
    with pytest.raises(WeightsError, match=message):
        locate(Weights(path=path, sha256=ZEROS), published, key="audio.weights")


def test_a_file_is_hashed_once_unless_it_changes_meanwhile(tmp_path, monkeypatch):
    hashed = []
    monkeypatch.setattr("avadclip.encoders.weights.sha256_of", lambda path: hashed.append(path) or sha256_of(path))
    path = tmp_path / "model.pt"
    path.write_bytes(b"weights")
    weights = Weights(path=str(path), sha256=sha256_of(path))
    hash_ahead(weights, None)
    assert locate(weights, None) == path
    assert hashed == [path]
    hash_ahead(weights, None)
    path.write_bytes(b"other weights")
    with pytest.raises(WeightsError, match="not the pinned weights"):
        locate(weights, None)


@pytest.mark.parametrize(
    ("weights", "published"), [(Weights(path="gone.pt", sha256=ZEROS), OPENAI), (Weights(sha256=ZEROS), None)]
)
def test_what_cannot_be_hashed_ahead_is_left_to_whoever_locates_it(weights, published):
    hash_ahead(weights, published)
    with pytest.raises(WeightsError, match=r"no such file|missing"):
        locate(weights, published)


def test_cache_defaults_to_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("AVADCLIP_WEIGHTS")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "avadclip"


@pytest.mark.parametrize(
    ("name", "hint"),
    [("ViT-B-16-quickglu", "did you mean ViT-B-16-quickgelu"), ("xyzzy", "`open_clip.list_models\\(\\)` lists them")],
)
def test_unknown_encoder_is_refused_with_close_matches(name, hint):
    with pytest.raises(ValueError, match=f"(?s)encoder\n.*no such architecture \\({hint}"):
        Visual(encoder=name, weights=Weights(sha256=ZEROS), stride=16, precision="float32")


def test_known_encoders_are_open_clips():
    import open_clip

    assert set(known_encoders()) == set(open_clip.list_models())
    assert read_architecture("ViT-B-16-quickgelu") == open_clip.get_model_config("ViT-B-16-quickgelu")
    assert image_size("ViT-L-14-336") == 336


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        ("{", "not valid JSON"),
        ('{"embed_dim": 512}', "missing keys: text_cfg, vision_cfg"),
        ('{"embed_dim": 512, "vision_cfg": {}, "text_cfg": {"hf_model_name": "x"}}', "is not a plain CLIP"),
    ],
)
def test_unusable_architecture_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "own.json").write_text(content)
    with pytest.raises(ConfigError, match=message):
        read_architecture("own", str(tmp_path / "own.json"))


@pytest.mark.slow
@pytest.mark.parametrize("module", ["avadclip.config", "avadclip.encoders.preprocess", "avadclip.encoders.spectrogram"])
def test_configuration_and_decode_workers_start_without_torch(module):
    # also after the lazy part, the validation of an encoder
    code = f"import sys, {module}; from avadclip.config.architectures import check_encoder\n"
    code += "check_encoder('ViT-B-16'); assert 'torch' not in sys.modules and 'open_clip' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_devices():
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ConfigError, match=r"sees .* CUDA devices; write `auto` or `cpu`"):
        resolve_device("cuda:99")
    with pytest.raises(ConfigError, match="expected auto, cpu, cuda or cuda:<number>, found 'gpu'"):
        resolve_device("gpu")


@pytest.mark.slow
@pytest.mark.parametrize("name", OPENAI_CLIPS)
def test_published_clips_are_those_that_open_clip_knows(name):
    from open_clip.pretrained import get_pretrained_url

    assert OPENAI_CLIPS[name].url == get_pretrained_url(name, "openai")
    assert OPENAI_CLIPS[name].sha256 in OPENAI_CLIPS[name].url
    assert read_architecture(name)["quick_gelu"]

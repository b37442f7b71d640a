"""A site is served on this machine only, and nothing beside it."""

import socket
import threading
from http.client import HTTPConnection

import pytest

from lit_coiba.core.errors import InputError
from lit_coiba.explorer.serving import site_server


@pytest.fixture(scope="module")
def server(site):
    (site.parent / "secret.txt").write_text("secret")
    with site_server(site, 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def get(server, path, **headers):
    connection = HTTPConnection(*server.server_address, timeout=60)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer, content


@pytest.mark.parametrize(
    "path", ["/", "/index.html", "/classes/00001.html", "/assets/plotly.min.js", "/data/classes.js"]
)
def test_files_of_the_site_are_given(server, site, path):
    answer, content = get(server, path)
    assert answer.status == 200
    assert content == (site / path.strip("/") / ("index.html" if path == "/" else "")).read_bytes()
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["/classes/", "/media", "/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "//etc/passwd"]
)
def test_nothing_else_is_given(server, path):
    answer, content = get(server, path)
    assert answer.status in (301, 403, 404)
    assert b"secret" not in content


def test_a_link_out_of_the_site_is_not_followed(server, site):
    link = site / "link.txt"
    link.symlink_to(site.parent / "secret.txt")
    try:
        assert get(server, "/link.txt")[0].status == 403
    finally:
        link.unlink()


def test_pages_of_another_host_get_nothing(server):
    assert get(server, "/", Host="evil.example")[0].status == 403
    assert get(server, "/", Host=f"localhost:{server.server_address[1]}")[0].status == 200


def test_it_listens_on_this_machine_only(server):
    assert server.server_address[0] == "127.0.0.1"


def test_a_folder_that_is_no_site_is_refused(tmp_path):
    with pytest.raises(InputError, match="is not a site that lit-coiba explorer has written"):
        site_server(tmp_path, 0)


def test_a_port_that_is_taken_is_refused(site):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match="give another one, such as 0"):
            site_server(site, taken.getsockname()[1])
    with pytest.raises(InputError, match="port is 70000"):
        site_server(site, 70000)

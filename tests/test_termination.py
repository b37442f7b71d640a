import os
import signal
import threading

import pytest

from lit_coiba.termination import ends_on_sigterm


@pytest.fixture(autouse=True)
def default_handler():
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def test_ends_with_the_status_that_shells_give():
    with pytest.raises(SystemExit) as stop, ends_on_sigterm():
        terminate()
    assert stop.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_is_over_when_the_block_is():
    with ends_on_sigterm():
        assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_handler_of_the_users_own_stays():
    heard = []

    def own(number, frame):
        heard.append(number)

    signal.signal(signal.SIGTERM, own)
    with ends_on_sigterm():
        terminate()
    assert heard == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is own


def test_threads_that_may_not_set_handlers_do_without():
    errors = []

    def run():
        try:
            with ends_on_sigterm():
                pass
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert errors == []
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL

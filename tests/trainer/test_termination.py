import os
import signal
import threading
import time

import pytest

from lit_coiba.trainer.termination import ends_on_signals


@pytest.fixture(autouse=True)
def default_handler():
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def test_ends_with_the_status_that_shells_give():
    with pytest.raises(SystemExit) as stop, ends_on_signals():
        terminate()
    assert stop.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_is_over_when_the_block_is():
    with ends_on_signals():
        assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_handler_of_the_users_own_stays():
    heard = []

    def own(number, frame):
        heard.append(number)

    signal.signal(signal.SIGTERM, own)
    with ends_on_signals():
        terminate()
    assert heard == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is own


def test_threads_that_may_not_set_handlers_do_without():
    errors = []

    def run():
        try:
            with ends_on_signals():
                pass
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert errors == []
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def left(run, **arguments):
    """The status that `run`, given the termination, leaves with."""
    with pytest.raises(SystemExit) as stop, ends_on_signals(**arguments) as termination:
        run(termination)
    return stop.value.code


def test_what_is_in_hand_is_finished_first():
    done = []

    def run(termination):
        termination.begin()
        terminate()
        terminate()
        done.append("the block")
        termination.end()
        done.append("the next")

    assert left(run) == 143
    assert done == ["the block"]


def test_between_two_blocks_it_ends_at_once():
    def run(termination):
        termination.begin()
        termination.end()
        terminate()
        raise AssertionError("it went on")

    assert left(run) == 143


def test_others_are_told_once_and_the_status_can_be_another():
    told = []

    def run(termination):
        termination.begin()
        terminate()
        terminate()
        assert told == ["go"]
        termination.end()

    assert left(run, asked=lambda number: told.append("go"), status=0) == 0
    assert told == ["go"]


def test_the_signal_is_taken_back_from_who_took_it():
    def run(termination):
        signal.signal(signal.SIGTERM, lambda number, frame: None)
        termination.listen()
        terminate()

    assert left(run) == 143


def test_a_handler_of_the_users_own_is_not_taken_over_later():
    signal.signal(signal.SIGTERM, own := lambda number, frame: None)
    with ends_on_signals() as termination:
        termination.listen()
        assert signal.getsignal(signal.SIGTERM) is own


def test_a_second_signal_is_no_broken_pipe(monkeypatch):
    """Two processes of a run pass a signal on to each other: Python told of a wakeup descriptor that nobody read."""
    told = []
    monkeypatch.setattr("sys.unraisablehook", told.append)
    with ends_on_signals() as termination:
        termination.begin()
        for _ in range(3):
            terminate()
            time.sleep(0.3)  # until the second thread has heard it
        with pytest.raises(SystemExit):
            termination.end()
    assert told == []

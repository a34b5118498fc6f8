from hypothesis import given
from hypothesis import strategies as st

from twofour.training.loaders import Loaders
from twofour.training.schedule import Schedule, phase_of


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(1, 5)), min_size=1, max_size=4))
def test_every_step_has_its_place(phases):
    epochs, lengths = zip(*phases, strict=True)
    schedule = Schedule(epochs, lengths)
    walked = [(phase, epoch, index) for phase, (count, length) in enumerate(phases)
              for epoch in range(count) for index in range(length)]
    assert schedule.steps == len(walked)
    number = 0
    for step, (phase, epoch, index) in enumerate(walked):
        number += index == 0
        assert schedule.phase(number) == phase
        assert schedule.before(number) + index == step
        assert schedule.place(number, index) == (epoch * lengths[phase] + index, epochs[phase] * lengths[phase])


def test_nothing_done_yet_is_the_first_phase_that_does_something():
    assert phase_of([0, 2, 3], 0) == 1
    assert phase_of([0, 0], 0) == 1
    assert [phase_of([2, 0, 1], epoch) for epoch in (1, 2, 3)] == [0, 0, 2]


def test_a_loader_without_a_length_is_counted_once():
    passes = []

    class Endless:
        def __iter__(self):
            passes.append(1)
            return iter([1, 2, 3])

    data = Loaders(Endless(), [], [])
    assert Schedule.of([(2, data), (1, data), (1, Loaders([1], [], []))]).lengths == (3, 3, 1)
    assert len(passes) == 1

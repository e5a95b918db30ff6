"""Contenders of this project: its fastest programs, and the plain ones that they are held against."""

from __future__ import annotations

import functools
from typing import Any

import jax
from jax import lax

from bench.environment import usable_cores
from bench.peers.contender import Contender
from toynet import fit, mesh
from toynet.config import Config
from toynet.data import Batch, train_and_test
from toynet.modes import Layout, Mode, by_name
from toynet.paths import choose, member_shards
from toynet.program import Program, bind
from toynet.sums import Metrics
from toynet.train import TrainState, threefry, training_batches, workload


def fastest(config: Config, mode: Mode, layout: Layout) -> Program:
    """A program on the path that a user of this project gets."""
    path = choose(config, mode, layout, jax.default_backend())
    return bind(workload("tutorial", config, path), mode, layout)


def plain(config: Config, mode: Mode, layout: Layout) -> Program:
    """The mode's transformation of the step, and nothing else."""
    return bind(workload("tutorial", config), mode, layout)


def ours(config: Config, members: int) -> Contender:
    """All epochs in one program; members are divided over a device for each core, or over those that there are."""
    if members == 1:
        program = fastest(config, by_name("single"), Layout(batch=config.batch_size))
    else:
        cores = member_shards(members, len(usable_cores()))
        mesh.simulate(cores)
        shards = min(cores, jax.device_count())
        layout = Layout(members=members, batch=config.batch_size, member_shards=shards)
        program = fastest(config, by_name("ensemble_data"), layout)
    return trained_by(config, program, program.epoch)


def vmapped(config: Config, members: int) -> Contender:
    """jit(vmap) of the step, all epochs in one program, on one device that has all cores."""
    program = plain(config, by_name("ensemble"), Layout(members=members, batch=config.batch_size))
    return trained_by(config, program, program.epoch)


def one_by_one(config: Config, members: int) -> Contender:
    """The plain step, all epochs of one member after those of another, in one program."""
    program = plain(config, by_name("ensemble"), Layout(members=members, batch=config.batch_size))

    @functools.partial(jax.jit, static_argnums=2)
    def train(states: TrainState, batches: Batch, epochs: int) -> tuple[TrainState, Metrics]:
        def epoch(state: TrainState, _: None) -> tuple[TrainState, Metrics]:
            return lax.scan(program.workload.step, state, batches)

        def member(state: TrainState) -> tuple[TrainState, Metrics]:
            last, metrics = lax.scan(epoch, state, None, length=epochs)
            return last, jax.tree.map(lambda leaf: leaf[-1], metrics)

        return lax.map(member, states)

    return trained_by(config, program, train)


def trained_by(config: Config, program: Program, epochs: Any) -> Contender:
    """Of a program whose epochs are run by that function of a state, batches, and their number."""
    batches, test = training_batches(config), train_and_test(config)[1]

    def train(seed: int) -> tuple[TrainState, Metrics]:
        with threefry(config):
            state = program.init(program.keys(seed))
            return jax.block_until_ready(epochs(state, program.place_stacked(batches), config.epochs))

    def accuracy(trained: tuple[TrainState, Metrics]) -> float:
        decided = fit.decide(config, fit.trained(program, trained[0]), test.inputs).members
        return float((decided == test.labels).mean())

    return Contender(train, accuracy, program.layout.members)

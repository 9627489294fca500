"""What a replay needs before it fires: its targets with their addresses, and the keys that masks, seals and marks are made with."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace

from echolane.errors import EcholaneError
from echolane.exchange import Exchange, Request, Response
from echolane.home import Home
from echolane.keys import load_mark_key, load_seal_keys
from echolane.masks import Masker
from echolane.protected import protected_of
from echolane.runspec import RunSpec
from echolane.seal import Opener, Sealer
from echolane.settings import Settings
from replayer.connection import Patience
from replayer.dryrun import unechoed
from replayer.hiding import Hiding
from replayer.idempotency import Keys
from replayer.keeping import Keeping
from replayer.options import ReplayOptions, never
from replayer.parts import every, thinned
from replayer.sources import check_endpoints, sources_of
from replayer.stopping import parse_condition
from replayer.switch import Switch
from replayer.targets import Target, check_allowed, make_targets, resolve, target_of


async def prepared(
    home: Home, spec: RunSpec, settings: Settings, decided: Callable[[], bool] = never
) -> tuple[list[Target], ReplayOptions]:
    """The targets of a run, checked and found, and how it fires."""
    targets = await resolve(
        make_targets(
            spec.targets,
            spec.allow_hosts,
            spec.allow_writes,
            spec.methods,
            settings.targets,
            spec.networks,
            protected_of([*spec.protected, *settings.replay.protected]),
        ),
        spec.addresses,
    )
    await check_endpoints(targets)
    options = options_of(home, spec, settings, decided, targets)
    if header := options.dry_run_header:
        silent = await unechoed(targets, header, options.mark_key, spec.run)
        options = replace(options, dry_run_silent=silent)
    return targets, options


async def prepared_one(home: Home, spec: RunSpec, settings: Settings) -> tuple[Target, ReplayOptions]:
    """The same for what fires at one target only, which stands where base stands."""
    [info] = spec.targets
    protected = protected_of([*spec.protected, *settings.replay.protected])
    check_allowed(info.url, spec.allow_hosts, spec.allow_writes, spec.methods, protected)
    [target] = await resolve([target_of(0, info, spec.methods, settings.targets, protected)], spec.addresses)
    await check_endpoints([target])
    return target, options_of(home, spec, settings, targets=[target])


def options_of(
    home: Home,
    spec: RunSpec,
    settings: Settings,
    decided: Callable[[], bool] = never,
    targets: Sequence[Target] = (),
) -> ReplayOptions:
    """How a run fires at these targets, with the keys of this home."""
    mark_key, seal_keys = load_mark_key(home.keys, os.environ), load_seal_keys(home.keys, os.environ)
    masker, opener = Masker(seal_keys.current.mask_key()), Opener(seal_keys)

    def mask(response: Response, secrets: Sequence[bytes]) -> Response:
        return masker.response(response, secrets).response

    def opened(exchange: Exchange) -> tuple[Request, Sequence[bytes]]:
        request = opener.open(exchange.request, exchange.seal)
        return request, masker.request(request).known

    def original(exchange: Exchange) -> Request:
        try:
            return opener.open(exchange.request, exchange.seal)
        except EcholaneError:  # whoever makes something of it says that it is masked
            return exchange.request

    return ReplayOptions(
        concurrency=spec.concurrency,
        adaptive=spec.firing.adaptive,
        paced=spec.pace != "max",
        seed=spec.seed,
        patience=Patience(
            settings.replay.connect_timeout_s, settings.replay.first_byte_timeout_s, settings.replay.total_timeout_s
        ),
        mark_key=mark_key,
        dry_run_header=spec.firing.dry_run_header,
        mask=mask,
        open_seal=opened,
        keeping=Keeping(spec.run, Sealer(seal_keys.current).seal_data, opener.open_data),
        hiding=Hiding(seal_keys.current.mask_key()),
        keys=Keys(mark_key, spec.run, settings.replay.idempotency_headers),
        sources=sources_of(home, spec.run, targets, mark_key, opened),
        original=original,
        sampling=thinned if spec.sample_controls else every,
        retry_after_max_s=settings.replay.retry_after_max_s,
        stop_on=[parse_condition(text) for text in spec.firing.stop_on],
        late_ns=int(spec.firing.late_after_s * 1e9) if spec.firing.late == "skip" else 0,
        decided=decided,
        halted=Switch(home, spec.run).thrown,
    )


__all__ = ["options_of", "prepared", "prepared_one"]

"""The composition root: the only place that picks a store, a clock and a port."""

import asyncio
import gc
import os
import socket
import ssl
import uuid
from pathlib import Path

import structlog

from perdure.core.errors import Rejected
from perdure.dynamic_config import DynamicConfig
from perdure.dynamic_config_file import BadFile, DynamicConfigFile
from perdure.frontend.context import Addresses, Context
from perdure.frontend.dispatch import Dispatcher
from perdure.frontend.dynamic_config_keys import HONOURED, HTTP_HOSTS, TRAILERS, without_effect
from perdure.frontend.registry import rpcs
from perdure.frontend.transport.grpc.methods import Methods
from perdure.frontend.transport.grpc.server import CannotListen, GrpcServer
from perdure.frontend.transport.http.api import HttpApi, host_rule
from perdure.frontend.transport.http.server import HttpServer
from perdure.frontend.transport.metrics_page import MetricsPage
from perdure.frontend.transport.tls import BadCertificate, context_of
from perdure.metrics.registry import Registry
from perdure.runtime.clock import SystemClock
from perdure.runtime.instrumented_store import InstrumentedStore, measure_node
from perdure.runtime.limits import ConfiguredLimits
from perdure.runtime.loop_watch import LoopWatch
from perdure.runtime.maintenance.visibility_replicator import VisibilityReplicator
from perdure.runtime.namespaces import DAY_NS, SYSTEM_ID, SYSTEM_NAME, Namespace, aliases
from perdure.runtime.node import Node
from perdure.runtime.supervision import for_ever
from perdure.settings import Settings, StoreSettings
from perdure.store.external_visibility import ServerStore
from perdure.store.open import open_store
from perdure.store.port import Store, StoreError
from perdure.store.split import SplitStore

log = structlog.get_logger(__name__)

Address = tuple[str, int]


_EXTERNAL_VISIBILITY = (
    "a second database keeps the visibility of this one: set `visibility_url` again,"
    " or rebuild the lists here with `perdure schema rebuild-lists`"
)


#: The garbage collector looks for circles when there are so many more objects than at the last time.
NEW_OBJECTS_MAX = 20_000


class StartupError(Exception):
    """The server cannot start. The text is one line."""


class Server:
    """One process with all roles. `start` raises `StartupError`; `stop` may be called after that, too."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.metrics = Registry()
        config = settings.store
        clock = SystemClock()
        owner = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        replicator: VisibilityReplicator | None = None
        try:
            main = _store_at(config, config.url)
            store: Store = main
            if config.visibility_url:
                store = split = SplitStore(
                    main, _store_at(config, config.visibility_url), clock.now_ns
                )
                replicator = VisibilityReplicator(split, clock, owner)
        except StoreError as error:
            raise StartupError(str(error)) from error
        self._main = main
        self._store = InstrumentedStore(store, self.metrics)
        self.node = Node(
            self._store,
            clock,
            ConfiguredLimits(),
            owner=owner,
            replicator=replicator,
            renewal_path=main.renewal_path(),
        )
        self._grpc: GrpcServer | None = None
        self._http: HttpServer | None = None
        self._metrics_page: MetricsPage | None = None
        self._dynamic_config_file = (
            DynamicConfigFile(Path(settings.dynamic_config_file))
            if settings.dynamic_config_file
            else None
        )
        #: Background work: it watches the event loop, and the file of dynamic configuration.
        self._watching: list[asyncio.Task[None]] = []
        self._host_rule = host_rule(())
        #: Keys of dynamic configuration without effect that the log has named.
        self._reported_keys: set[str] = set()
        self._dispatcher: Dispatcher | None = None
        self._is_started = False
        self._taking_over: asyncio.Task[None] | None = None
        self.address: Address = ("", 0)
        self.http_address: Address | None = None
        self.metrics_address: Address | None = None

    async def start(self) -> None:
        """Return when the server answers calls; it is healthy when all that is due is in memory, which may take longer.

        It listens before it answers: while another node holds the lease, calls are refused with UNAVAILABLE.
        """
        settings = self._settings
        await self._configure()
        try:
            await self._store.open()
            if not settings.store.visibility_url and await self._main.has_external_visibility():
                raise StoreError(_EXTERNAL_VISIBILITY)
            cluster_id = await self._store.cluster_id(str(uuid.uuid4()))
            self._is_started = True
            dispatcher = await self._listen(cluster_id)
            await self.node.serve()
            await self.node.namespaces.ensure(_namespaces(settings))
        except (StoreError, Rejected, CannotListen, BadCertificate, OSError) as error:
            await self.stop(0)
            raise StartupError(str(error)) from error
        dispatcher.open()
        self._taking_over = asyncio.create_task(self.node.engine.take_over())
        collect_rarely()
        log.info(
            "started",
            ip=settings.server.ip,
            port=self.address[1],
            store=settings.store.url.partition(":")[0],
        )

    async def _listen(self, cluster_id: str) -> Dispatcher:
        """Open the ports. Raises `CannotListen` or `OSError`."""
        settings = self._settings
        context = Context(
            self.node,
            settings.cluster.name,
            cluster_id,
            _kind(settings.store.url),
            _kind(settings.store.visibility_url or settings.store.url),
            self._addresses,
        )
        measure_node(self.metrics, self.node)
        loop_watch = LoopWatch(self.metrics, self.node.executions.commit_age_s)
        self._watching.append(for_ever(loop_watch.watch))
        dispatcher = self._dispatcher = Dispatcher(
            rpcs(context),
            self.metrics,
            context.check_namespace,
            is_overloaded=loop_watch.is_overloaded,
        )
        dispatcher.rate_limits.configure(self.node.limits.config)
        methods = Methods(
            dispatcher,
            lambda: self.node.engine.is_ready,
            adds_trailers=self.node.limits.config.boolean(TRAILERS, False),
        )
        self._grpc = GrpcServer(methods, self._tls(["h2"]))
        api = HttpApi(dispatcher, self.metrics, self._serves_host)
        self._http = HttpServer(api, self._tls(["http/1.1"]))
        port = await self._grpc.start(settings.server.ip, settings.server.port)
        http_port = await self._http.start(settings.server.ip, settings.server.http_port)
        self._metrics_page = MetricsPage(
            self.metrics,
            settings.server.metrics_ip or settings.server.ip,
            settings.server.metrics_port,
        )
        self.address = (settings.server.ip, port)
        self.http_address = (settings.server.ip, http_port)
        self.metrics_address = self._metrics_page.address
        return dispatcher

    def _tls(self, protocols: list[str]) -> ssl.SSLContext | None:
        """Raises `BadCertificate`."""
        own = self._settings.server
        if not own.tls_certificate:
            return None
        return context_of(own.tls_certificate, own.tls_key, own.tls_client_ca, protocols)

    async def _configure(self) -> None:
        """Read the dynamic configuration, and go on watching its file if there is one."""
        self._use(DynamicConfig(self._settings.dynamic_config))
        if self._dynamic_config_file is not None:
            try:
                await self._read(self._dynamic_config_file)
            except BadFile as error:
                raise StartupError(str(error)) from error
            file = self._dynamic_config_file
            self._watching.append(for_ever(lambda: self._watch(file)))

    def _use(self, config: DynamicConfig) -> None:
        self.node.configure(config)
        if self._dispatcher is not None:
            self._dispatcher.rate_limits.configure(config)
        self._host_rule = host_rule(config.strings(HTTP_HOSTS, ()))
        self._report_keys(config)

    def _report_keys(self, config: DynamicConfig) -> None:
        """Log each key without effect, once."""
        keys = [key for key in config.keys_but(HONOURED) if key not in self._reported_keys]
        self._reported_keys.update(keys)
        known = without_effect() if keys else frozenset()
        for key in keys:
            why = "only the real server uses this key" if key in known else "unknown key"
            log.warning(f"dynamic config: {why}", key=key)

    async def _read(self, file: DynamicConfigFile) -> None:
        values = await asyncio.to_thread(file.read_if_changed)
        if values is not None:
            self._use(DynamicConfig(self._settings.dynamic_config, over=values))
            log.info("read the dynamic config", file=self._settings.dynamic_config_file)

    async def _watch(self, file: DynamicConfigFile) -> None:
        while True:
            await asyncio.sleep(self._settings.dynamic_config_poll_seconds)
            try:
                await self._read(file)
            except BadFile as error:
                log.error(
                    "cannot read the dynamic config: the earlier values stay", error=str(error)
                )

    def _serves_host(self, host: str) -> bool:
        return self._host_rule(host)

    def _addresses(self) -> Addresses:
        return Addresses(
            "{}:{}".format(*self.address),
            "{}:{}".format(*self.http_address) if self.http_address is not None else "",
        )

    async def stop(self, grace_seconds: float) -> None:
        """End polls, finish the calls under way for up to `grace_seconds`, and release the leases."""
        if self._grpc is not None and self._http is not None:
            self._grpc.drain()
            self._http.drain()
            self.node.drain()
            await asyncio.gather(self._grpc.stop(grace_seconds), self._http.stop(grace_seconds))
            self._grpc = self._http = None
        if self._metrics_page is not None:
            await asyncio.to_thread(self._metrics_page.close)
            self._metrics_page = None
        while self._watching:
            self._watching.pop().cancel()
        if self._taking_over is not None:
            self._taking_over.cancel()
            await asyncio.gather(self._taking_over, return_exceptions=True)
            self._taking_over = None
        if self._is_started:
            self._is_started = False
            await self.node.stop()
        await self._store.close()
        log.info("stopped")


def collect_rarely() -> None:
    """Have the garbage collector pass over all objects of now, which stay for as long as the server runs.

    It also looks at new objects seldom: calls leave no circles, so it finds nothing, and with Python's default (700)
    it visits the whole execution cache again and again while that fills.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS_MAX)


def _store_at(config: StoreSettings, url: str) -> ServerStore:
    return open_store(url, sqlite_pragmas=config.sqlite_pragmas, pool_size=config.pool_size)


def _kind(url: str) -> str:
    """Return the kind of database that a URL names."""
    return url.partition(":")[0]


def _namespaces(settings: Settings) -> list[Namespace]:
    own = aliases(settings.search_attributes)
    retention_ns = int(settings.namespace_retention_days * DAY_NS)
    return [
        Namespace(
            id=SYSTEM_ID,
            name=SYSTEM_NAME,
            description="Temporal internal system namespace",
            owner_email="temporal-core@temporal.io",
            retention_ns=7 * DAY_NS,
            is_built_in=True,
        ),
        *(
            Namespace(
                id="",
                name=name,
                retention_ns=retention_ns,
                search_attribute_aliases=own,
                is_built_in=True,
            )
            for name in settings.namespaces
        ),
    ]

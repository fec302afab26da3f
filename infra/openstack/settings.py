"""The settings of the servers: one INI file each, below the folder that everything is in."""

import configparser

REGION = "RegionOne"
PASSWORD = "secret"


def write(layout, knobs):
    """Writes all files. `layout` has the folder and the ports, `knobs` how large the cloud is."""
    folder, port = layout.folder, layout.port
    (layout.conf / "policy.d").mkdir(exist_ok=True)
    (layout.conf / "policy.yaml").write_text("{}\n")
    common = {"oslo_policy": {"policy_file": layout.conf / "policy.yaml", "policy_dirs": layout.conf / "policy.d"}}
    keystone_url = layout.url("keystone")

    def database(name):
        return {"connection": f"mysql+pymysql://root@localhost/{name}?unix_socket={folder}/db.sock&charset=utf8"}

    login = {
        "auth_type": "password",
        "auth_url": f"{keystone_url}/v3",
        "username": "admin",
        "password": PASSWORD,
        "project_name": "admin",
        "user_domain_name": "Default",
        "project_domain_name": "Default",
        "region_name": REGION,
    }
    checks_tokens = {"keystone_authtoken": {"www_authenticate_uri": keystone_url, **login}}

    _ini(layout.conf / "keystone.conf", common | {
        "DEFAULT": {"use_stderr": "true"},
        "database": database("keystone"),
        "identity": {"password_hash_rounds": 4},
        "token": {"provider": "fernet", "expiration": knobs["TOKEN_S"]},
        "fernet_tokens": {"key_repository": folder / "fernet"},
        "fernet_receipts": {"key_repository": folder / "fernet"},
        "credential": {"key_repository": folder / "credential"},
        "cache": {"enabled": "false"},
    })
    _ini(layout.conf / "placement.conf", common | checks_tokens | {
        "placement_database": database("placement"),
        "api": {"auth_strategy": "keystone"},
    })
    images = folder / "images"
    for name in ("store", "staging", "tasks"):
        (images / name).mkdir(parents=True, exist_ok=True)
    _ini(layout.conf / "glance-api.conf", common | checks_tokens | {
        "DEFAULT": {
            "bind_host": "127.0.0.1",
            "bind_port": port["glance"],
            "workers": 0,
            "enabled_backends": "files:file",
            "node_staging_uri": f"file://{images}/staging",
        },
        "database": database("glance"),
        "glance_store": {"default_backend": "files"},
        "files": {"filesystem_store_datadir": images / "store"},
        "os_glance_staging_store": {"filesystem_store_datadir": images / "staging"},
        "os_glance_tasks_store": {"filesystem_store_datadir": images / "tasks"},
        "paste_deploy": {"flavor": "keystone", "config_file": layout.conf / "glance-api-paste.ini"},
    })
    _ini(layout.conf / "glance-api-paste.ini", GLANCE_PASTE)
    _ini(layout.conf / "nova-api-paste.ini", NOVA_PASTE)
    _ini(layout.conf / "nova.conf", common | checks_tokens | {
        "DEFAULT": {
            "host": "control",
            "my_ip": "127.0.0.1",
            "state_path": folder / "state",
            "transport_url": f"rabbit://guest:guest@127.0.0.1:{port['amqp']}/",
            "enabled_apis": "osapi_compute",
            "osapi_compute_listen": "127.0.0.1",
            "osapi_compute_listen_port": port["nova"],
            "osapi_compute_workers": 1,
            "compute_driver": "prescale_fake.Driver",
            "reserved_host_memory_mb": 0,
            "initial_cpu_allocation_ratio": 1.0,
            "initial_ram_allocation_ratio": 1.0,
            "allow_resize_to_same_host": "true",
            "resume_guests_state_on_host_boot": "true",
            "report_interval": 5,
            "service_down_time": 30,
        },
        "api": {"auth_strategy": "keystone"},
        "wsgi": {"api_paste_config": layout.conf / "nova-api-paste.ini"},
        "api_database": database("nova_api"),
        "database": database("nova_cell1"),
        "conductor": {"workers": 1},
        "scheduler": {"workers": 1},
        "filter_scheduler": {"enabled_filters": ",".join(FILTERS)},
        "quota": {"cores": knobs["QUOTA_CORES"], "instances": knobs["QUOTA_INSTANCES"], "ram": 1_048_576},
        "vnc": {"enabled": "false"},
        "oslo_concurrency": {"lock_path": folder / "state" / "locks"},
        "placement": login,
        "glance": {"api_servers": layout.url("glance")},
        "neutron": {"endpoint_override": layout.url("neutron"), **login},
    })
    for name in layout.computes:
        state = folder / "state" / name
        state.mkdir(parents=True, exist_ok=True)
        _ini(layout.conf / f"{name}.conf", {"DEFAULT": {"host": name, "state_path": state}})
    (layout.conf / "rabbitmq.conf").write_text(
        "loopback_users = none\nlog.console = true\nlog.console.level = warning\nlog.file = false\n"
        "vm_memory_high_watermark.absolute = 512MB\ndisk_free_limit.absolute = 1MB\n"
    )
    (layout.conf / "enabled_plugins").write_text("[].\n")


def clouds(layout):
    """The clouds.yaml of an administrator and of a user."""
    def cloud(user):
        return {
            "auth": {
                "auth_url": f"{layout.url('keystone')}/v3",
                "username": user,
                "password": PASSWORD,
                "project_name": user,
                "user_domain_name": "Default",
                "project_domain_name": "Default",
            },
            "region_name": REGION,
            "identity_api_version": 3,
        }

    return {"clouds": {user: cloud(user) for user in ("admin", "demo")}}


def _ini(path, sections):
    parser = configparser.RawConfigParser(delimiters=("=",), default_section="-")
    parser.optionxform = str
    parser.read_dict({name: {key: str(value) for key, value in keys.items()} for name, keys in sections.items()})
    with open(path, "w") as file:
        parser.write(file)


FILTERS = [
    "ComputeFilter",
    "ComputeCapabilitiesFilter",
    "ImagePropertiesFilter",
    "ServerGroupAntiAffinityFilter",
    "ServerGroupAffinityFilter",
]

_CHECKS_TOKENS = {"paste.filter_factory": "keystonemiddleware.auth_token:filter_factory"}

GLANCE_PASTE = {
    "pipeline:glance-api-keystone": {"pipeline": "versions authtoken context root"},
    "composite:root": {"paste.composite_factory": "glance.api:root_app_factory", "/": "apiversions", "/v2": "apiv2"},
    "app:apiversions": {"paste.app_factory": "glance.api.versions:create_resource"},
    "app:apiv2": {"paste.app_factory": "glance.api.v2.router:API.factory"},
    "filter:versions": {
        "paste.filter_factory": "glance.api.middleware.version_negotiation:VersionNegotiationFilter.factory",
    },
    "filter:context": {"paste.filter_factory": "glance.api.middleware.context:ContextMiddleware.factory"},
    "filter:authtoken": _CHECKS_TOKENS | {"delay_auth_decision": "true"},
}

NOVA_PASTE = {
    "composite:osapi_compute": {
        "use": "call:nova.api.openstack.urlmap:urlmap_factory",
        "/": "versions",
        "/v2.1": "versions_v21",
        "/v2.1/+": "api",
    },
    "composite:api": {
        "use": "call:nova.api.auth:pipeline_factory_v21",
        "keystone": "request_id faults log sizes authtoken context api_v21",
    },
    "pipeline:versions": {"pipeline": "faults log versions_app"},
    "pipeline:versions_v21": {"pipeline": "request_id faults log versions_v21_app"},
    "filter:request_id": {"paste.filter_factory": "nova.api.compute_req_id:ComputeReqIdMiddleware.factory"},
    "filter:faults": {"paste.filter_factory": "nova.api.openstack:FaultWrapper.factory"},
    "filter:log": {"paste.filter_factory": "nova.api.openstack.requestlog:RequestLog.factory"},
    "filter:sizes": {"paste.filter_factory": "oslo_middleware:RequestBodySizeLimiter.factory"},
    "filter:context": {"paste.filter_factory": "nova.api.auth:NovaKeystoneContext.factory"},
    "filter:authtoken": _CHECKS_TOKENS,
    "app:api_v21": {"paste.app_factory": "nova.api.openstack.compute:APIRouterV21.factory"},
    "app:versions_app": {"paste.app_factory": "nova.api.openstack.compute.versions:Versions.factory"},
    "app:versions_v21_app": {"paste.app_factory": "nova.api.openstack.compute.versions:VersionsV2.factory"},
}

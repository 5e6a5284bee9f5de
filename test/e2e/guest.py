"""A guest made, booted, talked to and read back by the Python standard library alone.

Usage: guest.py URL PASSWORD IMAGE LINE
"""

import http.client
import socket
import sys
import urllib.parse
import xmlrpc.client

url, password, image_file, line = sys.argv[1:]
host, port = urllib.parse.urlparse(url).netloc.split(":")
server = xmlrpc.client.ServerProxy(url)
with open(image_file, "rb") as opened:
    image = opened.read()


def value(answer):
    """The value of an answer, or the failure as an exception."""
    if answer["Status"] != "Success":
        raise RuntimeError(answer["ErrorDescription"])
    return answer["Value"]


session = value(server.session.login_with_password("root", password))


def call(method, *params):
    return value(getattr(server, method)(session, *params))


def make_vm():
    pool = call("pool.get_all")[0]
    template = call("VM.get_by_name_label", "Other install media")[0]
    vm = call("VM.clone", template, "a guest of Python")
    call("VM.remove_from_other_config", vm, "disks")
    call("VM.provision", vm)
    vdi = call(
        "VDI.create",
        {
            "name_label": "its disk",
            "name_description": "",
            "SR": call("pool.get_default_SR", pool),
            "virtual_size": str(len(image)),
            "type": "user",
            "sharable": False,
            "read_only": False,
            "other_config": {},
        },
    )
    call(
        "VBD.create",
        {
            "VM": vm,
            "VDI": vdi,
            "userdevice": "0",
            "bootable": True,
            "mode": "RW",
            "type": "Disk",
            "empty": False,
            "other_config": {},
            "qos_algorithm_type": "",
            "qos_algorithm_params": {},
        },
    )
    call("VM.set_HVM_boot_params", vm, {"order": "c"})
    memory = str(64 * 1024 * 1024)
    call("VM.set_memory_limits", vm, memory, memory, memory, memory)
    return vm, vdi


def upload(vdi):
    connection = http.client.HTTPConnection(host, int(port))
    query = urllib.parse.urlencode({"session_id": session, "vdi": vdi, "format": "raw"})
    connection.request("PUT", "/import_raw_vdi?" + query, body=image)
    response = connection.getresponse()
    assert response.status == 200, (response.status, response.read())


def download(vdi):
    connection = http.client.HTTPConnection(host, int(port))
    query = urllib.parse.urlencode({"session_id": session, "vdi": vdi, "format": "raw"})
    connection.request("GET", "/export_raw_vdi?" + query)
    response = connection.getresponse()
    assert response.status == 200, response.status
    return response.read()


def open_console(vm):
    for console in call("VM.get_consoles", vm):
        record = call("console.get_record", console)
        if record["protocol"] == "vt100":
            break
    path = "/console?uuid=" + record["uuid"]
    stream = socket.create_connection((host, int(port)), timeout=60)
    stream.sendall(f"CONNECT {path} HTTP/1.0\r\nCookie: session_id={session}\r\n\r\n".encode())
    seen = b""
    while b"\r\n\r\n" not in seen:
        seen += stream.recv(1)
    assert seen.startswith(b"HTTP/1.1 200"), seen
    return stream


def read_until(stream, text):
    seen = b""
    while text not in seen:
        more = stream.recv(4096)
        assert more, seen
        seen += more


def wait_for(vm, state, token):
    """Follows the VM by events until it is in the state."""
    while True:
        batch = call("event.from", ["vm/" + vm], token, 60.0)
        token = batch["token"]
        for event in batch["events"]:
            if event.get("snapshot", {}).get("power_state") == state:
                return token


vm, vdi = make_vm()
upload(vdi)
token = call("event.from", ["vm/" + vm], "", 0.0)["token"]
call("VM.start", vm, False, False)
token = wait_for(vm, "Running", token)
console = open_console(vm)
read_until(console, line.encode())
console.sendall(b"x")
wait_for(vm, "Halted", token)
print("events: Running, Halted")
assert download(vdi) == image
print("disk unchanged")
call("VM.destroy", vm)
call("VDI.destroy", vdi)
server.session.logout(session)

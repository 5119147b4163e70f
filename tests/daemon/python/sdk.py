"""Drives a daemon with chatwoot-sdk 0.2.0 (PyPI), everything that it offers, and asserts what comes back.

Arguments: base URL and an administrator's token. A method of the SDK that nothing here calls fails the run.
"""

import asyncio
import sys

from chatwoot import AsyncChatwootClient, ChatwootClient
from chatwoot.exceptions import ChatwootAPIError, ChatwootAuthError, ChatwootNotFoundError
from chatwoot.resources._base import BaseResource

BASE, TOKEN = sys.argv[1], sys.argv[2]
ACCOUNT = 1
GROUPS = []
OFFERED, CALLED = set(), set()


def group(function):
    """A part of the SDK; what comes later builds on what was made before."""
    GROUPS.append(function)
    return function


def record_calls():
    """Notes every method that the SDK offers, and which of them are called."""
    for resource in BaseResource.__subclasses__():
        for name, method in [(name, method) for name, method in vars(resource).items() if callable(method) and not name.startswith("_")]:
            full_name = f"{resource.__name__}.{name}"
            OFFERED.add(full_name)

            def recorded(*arguments, _method=method, _name=full_name, **named):
                CALLED.add(_name)
                return _method(*arguments, **named)

            setattr(resource, name, recorded)


def refused(error, call, *words):
    try:
        call()
    except error as raised:
        assert all(word in str(raised) for word in words), str(raised)
        return raised
    raise AssertionError(f"no {error.__name__}")


@group
def profile(client, desk):
    own = client.profile.get()
    assert (own.email, own.role.value, own.account_id) == ("admin@example.com", "administrator", ACCOUNT)
    assert [account.id for account in own.accounts] == [ACCOUNT]
    with ChatwootClient(base_url=BASE, api_token="wrong") as stranger:
        # The words arrive: the SDK shows `message`, where the contract has `error` only.
        raised = refused(ChatwootAuthError, stranger.profile.get, "Invalid Access Token")
        assert raised.status_code == 401


@group
def agents(client, desk):
    made = client.agents.add(ACCOUNT, "Ada", "ada@example.com", "agent")
    assert (made.name, made.email, made.role.value, made.account_id) == ("Ada", "ada@example.com", "agent", ACCOUNT)
    changed = client.agents.update(ACCOUNT, made.id, role="administrator", availability="busy")
    assert (changed.id, changed.role.value) == (made.id, "administrator")
    listed = {agent.id: agent.role.value for agent in client.agents.list(ACCOUNT)}
    assert listed[made.id] == "administrator" and len(listed) == 2, listed
    client.agents.remove(ACCOUNT, made.id)
    assert made.id not in [agent.id for agent in client.agents.list(ACCOUNT)]
    # Wrong in the SDK: the contract has no GET /agents/:id.
    refused(ChatwootAPIError, lambda: client.agents.get(ACCOUNT, made.id))
    refused(ChatwootNotFoundError, lambda: client.agents.update(ACCOUNT, 999999, name="x"), "Resource could not be found")
    raised = refused(ChatwootAPIError, lambda: client.agents.add(ACCOUNT, "Bob", "nonsense", "agent"))
    assert raised.status_code == 422
    desk["agent"] = client.agents.add(ACCOUNT, "Bob", "bob@example.com", "agent").id


@group
def inboxes(client, desk):
    made = client.inboxes.create(ACCOUNT, "Shop", "api", webhook_url="http://127.0.0.1:19999/hook")
    assert (made.name, made.channel_type, made.webhook_url) == ("Shop", "Channel::Api", "http://127.0.0.1:19999/hook")
    changed = client.inboxes.update(
        ACCOUNT, made.id, greeting_enabled=True, greeting_message="hello", enable_auto_assignment=False, channel={"webhook_url": ""}
    )
    assert (changed.greeting_enabled, changed.greeting_message, changed.enable_auto_assignment) == (True, "hello", False)
    client.inboxes.update(ACCOUNT, made.id, greeting_enabled=False)
    assert client.inboxes.get(ACCOUNT, made.id).name == "Shop"
    assert [inbox.id for inbox in client.inboxes.list(ACCOUNT)] == [made.id]
    client.inboxes.agents.add(ACCOUNT, made.id, [desk["agent"]])
    # Wrong in the SDK: it unwraps `payload` and then looks for it, so members are never returned.
    assert client.inboxes.agents.list(ACCOUNT, made.id) == []
    members = lambda: [member["id"] for member in client._http.get(f"/api/v1/accounts/{ACCOUNT}/inbox_members/{made.id}")]
    assert members() == [desk["agent"]]
    client.inboxes.agents.update(ACCOUNT, made.id, [])
    assert members() == []
    client.inboxes.agents.update(ACCOUNT, made.id, [desk["agent"]])
    assert members() == [desk["agent"]]
    client.inboxes.agents.remove(ACCOUNT, made.id, [desk["agent"]])
    assert members() == []
    client.inboxes.agents.add(ACCOUNT, made.id, [desk["agent"]])
    refused(ChatwootNotFoundError, lambda: client.inboxes.get(ACCOUNT, 999999))
    desk["inbox"] = made.id


@group
def inbox_bots(client, desk):
    assert client.inboxes.get_agent_bot(ACCOUNT, desk["inbox"]) == {"agent_bot": {}}
    bot = client._http.post(f"/api/v1/accounts/{ACCOUNT}/agent_bots", json={"name": "Robot", "outgoing_url": "http://127.0.0.1:19999/bot"})
    client.inboxes.set_agent_bot(ACCOUNT, desk["inbox"], bot["id"])
    assert client.inboxes.get_agent_bot(ACCOUNT, desk["inbox"])["agent_bot"]["id"] == bot["id"]
    client.inboxes.set_agent_bot(ACCOUNT, desk["inbox"], None)
    assert client.inboxes.get_agent_bot(ACCOUNT, desk["inbox"]) == {"agent_bot": {}}


@group
def contacts(client, desk):
    made = client.contacts.create(
        ACCOUNT, desk["inbox"], name="Mia", email="Mia@Example.com", phone_number="+4915112345678", custom_attributes={"plan": "gold"}
    )
    contact = made.contact
    assert (contact.name, contact.email, contact.phone_number) == ("Mia", "mia@example.com", "+4915112345678")
    assert contact.custom_attributes == {"plan": "gold"} and made.contact_inbox.source_id
    changed = client.contacts.update(ACCOUNT, contact.id, name="Mia M", custom_attributes={"age": 3})
    assert (changed.name, changed.custom_attributes) == ("Mia M", {"plan": "gold", "age": 3})
    shown = client.contacts.get(ACCOUNT, contact.id)
    assert [identity.source_id for identity in shown.contact_inboxes] == [made.contact_inbox.source_id]
    assert shown.created_at.year > 2000
    assert [found.id for found in client.contacts.search(ACCOUNT, "mia m")] == [contact.id]
    assert client.contacts.search(ACCOUNT, "nobody of this name") == []
    assert [found.id for found in client.contacts.list(ACCOUNT)] == [contact.id]
    assert client.contacts.list(ACCOUNT, page=2) == []
    assert client.contacts.conversations(ACCOUNT, contact.id) == []
    raised = refused(ChatwootAPIError, lambda: client.contacts.create(ACCOUNT, desk["inbox"], email="mia@example.com"), "taken")
    assert raised.status_code == 422
    refused(ChatwootNotFoundError, lambda: client.contacts.get(ACCOUNT, 999999))
    desk["contact"], desk["source"] = contact.id, made.contact_inbox.source_id


@group
def contactable_inboxes(client, desk):
    found = client.contacts.contactable_inboxes(ACCOUNT, desk["contact"])
    assert [(one["inbox"]["id"], one["source_id"]) for one in found] == [(desk["inbox"], desk["source"])], found


@group
def contact_labels(client, desk):
    label(client)
    assert client.contacts.labels.list(ACCOUNT, desk["contact"]) == []
    assert client.contacts.labels.add(ACCOUNT, desk["contact"], ["vip"]) == ["vip"]
    assert client.contacts.labels.list(ACCOUNT, desk["contact"]) == ["vip"]
    assert client.contacts.labels.add(ACCOUNT, desk["contact"], []) == []


@group
def conversations(client, desk):
    made = client.conversations.create(ACCOUNT, desk["source"], desk["inbox"], desk["contact"], custom_attributes={"order": "7"})
    assert (made.status.value, made.inbox_id, made.account_id) == ("open", desk["inbox"], ACCOUNT)
    assert made.custom_attributes == {"order": "7"} and made.meta.sender.id == desk["contact"] and made.meta.assignee is None
    desk["conversation"] = made.id
    shown = client.conversations.get(ACCOUNT, made.id)
    assert (shown.id, shown.unread_count, shown.waiting_since is not None) == (made.id, 0, True)
    assert client.conversations.update(ACCOUNT, made.id, priority="high").priority.value == "high"
    # Wrong in the SDK: PATCH takes a priority only, so nobody is assigned; `assignments` is what assigns.
    assert client.conversations.assign(ACCOUNT, made.id, desk["agent"]).meta.assignee is None
    assigned = client._http.post(f"/api/v1/accounts/{ACCOUNT}/conversations/{made.id}/assignments", json={"assignee_id": desk["agent"]})
    assert assigned["id"] == desk["agent"]
    assert client.conversations.get(ACCOUNT, made.id).meta.assignee.id == desk["agent"]
    assert [one.id for one in client.conversations.list(ACCOUNT)] == [made.id]
    assert [one.id for one in client.conversations.list(ACCOUNT, inbox_id=desk["inbox"], assignee_type="assigned")] == [made.id]
    assert client.conversations.list(ACCOUNT, assignee_type="unassigned") == []
    assert client.conversations.list(ACCOUNT, status="resolved") == []
    assert client.conversations.list(ACCOUNT, page=2) == []
    toggled = client.conversations.toggle_status(ACCOUNT, made.id, "resolved")
    assert (toggled.success, toggled.current_status.value) == (True, "resolved")
    assert [one.id for one in client.conversations.list(ACCOUNT, status="resolved")] == [made.id]
    client.conversations.toggle_status(ACCOUNT, made.id, "open")
    counts = client.conversations.get_counts(ACCOUNT)["meta"]
    assert (counts["all_count"], counts["assigned_count"], counts["unassigned_count"], counts["mine_count"]) == (1, 1, 0, 0), counts
    assert [one.id for one in client.contacts.conversations(ACCOUNT, desk["contact"])] == [made.id]
    refused(ChatwootNotFoundError, lambda: client.conversations.get(ACCOUNT, 999999))


@group
def messages(client, desk):
    sent = client.messages.create(ACCOUNT, desk["conversation"], "hello", echo_id="mine")
    assert (sent.content, sent.message_type, sent.private, sent.sender.type) == ("hello", 1, False, "user")
    note = client.messages.create(ACCOUNT, desk["conversation"], "a note", private=True)
    heard = client.messages.create(ACCOUNT, desk["conversation"], "help", message_type="incoming")
    assert (note.private, heard.message_type, heard.sender.id) == (True, 0, desk["contact"])
    listed = [message for message in client.messages.list(ACCOUNT, desk["conversation"]) if message.message_type != 2]
    assert [message.id for message in listed] == [sent.id, note.id, heard.id]
    assert [message.content for message in listed] == ["hello", "a note", "help"]
    assert client.conversations.get(ACCOUNT, desk["conversation"]).unread_count == 1
    raised = refused(ChatwootAPIError, lambda: client.messages.create(ACCOUNT, desk["conversation"], "x" * 150_001))
    assert raised.status_code == 422
    # Wrong in the SDK: messages are below their conversation.
    refused(ChatwootNotFoundError, lambda: client.messages.update(ACCOUNT, sent.id, "changed"))
    refused(ChatwootNotFoundError, lambda: client.messages.delete(ACCOUNT, sent.id))


@group
def conversation_labels(client, desk):
    label(client)
    assert client.conversations.labels.add(ACCOUNT, desk["conversation"], ["vip"]) == ["vip"]
    assert client.conversations.labels.list(ACCOUNT, desk["conversation"]) == ["vip"]
    assert client.conversations.get(ACCOUNT, desk["conversation"]).labels == ["vip"]
    assert [one.id for one in client.conversations.list(ACCOUNT, labels=["vip"])] == [desk["conversation"]]
    assert client.conversations.list(ACCOUNT, labels=["other"]) == []
    assert client.conversations.labels.add(ACCOUNT, desk["conversation"], []) == []


@group
def teams(client, desk):
    made = client.teams.create(ACCOUNT, "Sales", description="sells", allow_auto_assign=False)
    assert (made.name, made.description, made.allow_auto_assign, made.account_id) == ("sales", "sells", False, ACCOUNT)
    assert client.teams.update(ACCOUNT, made.id, description="buys").description == "buys"
    assert client.teams.get(ACCOUNT, made.id).description == "buys"
    assert [team.id for team in client.teams.list(ACCOUNT)] == [made.id]
    client.teams.agents.add(ACCOUNT, made.id, [desk["agent"]])
    assert [agent.id for agent in client.teams.agents.list(ACCOUNT, made.id)] == [desk["agent"]]
    client.teams.agents.remove(ACCOUNT, made.id, [desk["agent"]])
    assert client.teams.agents.list(ACCOUNT, made.id) == []
    client.teams.delete(ACCOUNT, made.id)
    assert client.teams.list(ACCOUNT) == []
    refused(ChatwootNotFoundError, lambda: client.teams.get(ACCOUNT, made.id))


@group
def contact_merge(client, desk):
    other = client.contacts.create(ACCOUNT, desk["inbox"], name="Mia again", identifier="mia-2").contact
    merged = client.contacts.merge(ACCOUNT, desk["contact"], other.id)
    assert (merged.id, merged.identifier, merged.email) == (desk["contact"], "mia-2", "mia@example.com")
    refused(ChatwootNotFoundError, lambda: client.contacts.get(ACCOUNT, other.id))


@group
def contact_delete(client, desk):
    other = client.contacts.create(ACCOUNT, desk["inbox"], name="Gone").contact
    client.contacts.delete(ACCOUNT, other.id)
    refused(ChatwootNotFoundError, lambda: client.contacts.get(ACCOUNT, other.id))


@group
def asynchronous(client, desk):
    async def drive():
        async with AsyncChatwootClient(base_url=BASE, api_token=TOKEN) as waiting:
            own, listed = await asyncio.gather(waiting.profile.get(), waiting.conversations.list(ACCOUNT))
            sent = await waiting.messages.create(ACCOUNT, desk["conversation"], "later")
            return own.email, [one.id for one in listed], sent.content

    assert asyncio.run(drive()) == ("admin@example.com", [desk["conversation"]], "later")


def label(client):
    """A label has to be defined before it is given."""
    if not client._http.get(f"/api/v1/accounts/{ACCOUNT}/labels"):
        client._http.post(f"/api/v1/accounts/{ACCOUNT}/labels", json={"title": "vip", "color": "#112233"})


def main():
    record_calls()
    desk = {}
    with ChatwootClient(base_url=BASE, api_token=TOKEN) as client:
        for function in GROUPS:
            function(client, desk)
            print(f"done: {function.__name__}")
    assert OFFERED and not OFFERED - CALLED, f"nothing calls {sorted(OFFERED - CALLED)}"


main()

"""Serverless functions in front of uaef: each hands its event to a function of
the database, which does all the rest, and returns the answer.

Name one of these as the handler of an AWS Lambda function:

    lambda_function.workflow_trigger   API Gateway (either payload format), EventBridge
    lambda_function.task_execution     the same, for workers
    lambda_function.webhook            API Gateway, with a path like /webhooks/{source}
    lambda_function.schedule           EventBridge Scheduler

The environment says where the database is (PGHOST, PGDATABASE, PGUSER, ... as of
libpq).  The role needs the access "receiver" for webhooks, "operator" for the
others; the keys of webhooks and tokens stay in the database.
"""
import json

import psycopg2

connection = None


def connected():
    """The connection of this environment, which outlives a call."""
    global connection
    try:
        connection.cursor().execute("SELECT 1")
    except (AttributeError, psycopg2.Error):
        connection = psycopg2.connect("", connect_timeout=5, application_name="lambda")
        connection.autocommit = True
    return connection.cursor()


def handle(function, event):
    with connected() as cursor:
        cursor.execute(f"SELECT uaef.{function}(%s)", (json.dumps(event),))
        return cursor.fetchone()[0]


def workflow_trigger(event, context):
    return handle("handle_workflow_trigger", event)


def task_execution(event, context):
    return handle("handle_task_execution", event)


def webhook(event, context):
    return handle("handle_webhook", event)


def schedule(event, context):
    return handle("handle_schedule", event)

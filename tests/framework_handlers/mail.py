from pydantic import BaseModel, ConfigDict

from jobs import JobContext, handler
from tests.framework_handlers.dependencies import EmailSender


class SendEmailArgs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    to: str
    subject: str
    body: str


@handler("SendEmail")
def send_email(args: SendEmailArgs, ctx: JobContext, sender: EmailSender) -> None:
    sender.send(to=args.to, subject=args.subject, body=args.body, message_id=ctx.idempotency_key)

"""A small grammar of what people write to a bank's support desk: intents × templates × slots × manners.

It stands in for real tickets where there are none, so that a fresh clone works offline. The intents are as close to each
other as real ones: the wording, not one keyword, tells them apart.
"""

from collections.abc import Iterator
from random import Random

SLOTS: dict[str, tuple[str, ...]] = {
    "card": ("card", "debit card", "credit card", "bank card", "new card"),
    "amount": ("20 euros", "£35", "$60", "a hundred pounds", "15.50", "about 200 dollars", "£8.99", "75 euros"),
    "shop": ("supermarket", "petrol station", "bookshop", "restaurant", "pharmacy", "online shop", "corner store"),
    "when": ("yesterday", "this morning", "last night", "on Monday", "two days ago", "last week", "an hour ago"),
    "wait": ("three days", "a week", "ten days", "two weeks", "almost a month", "several days"),
    "country": ("Spain", "Japan", "Canada", "Portugal", "Kenya", "Norway", "Mexico", "Poland"),
    "currency": ("euros", "dollars", "yen", "Swiss francs", "pounds", "zloty"),
    "device": ("phone", "tablet", "laptop", "old phone", "work computer"),
    "person": ("my sister", "a friend", "my landlord", "my son", "my business partner", "my flatmate"),
    "merchant": ("the airline", "the hotel", "a streaming service", "my gym", "the car rental", "a ticket site"),
}

OPENINGS = (
    "",
    "",
    "",
    "Hi, ",
    "Hello! ",
    "Hi there. ",
    "Good morning, ",
    "Quick question: ",
    "Please help. ",
    "Sorry to bother you, ",
)
CLOSINGS = (
    "",
    "",
    "",
    " Thanks!",
    " Thank you.",
    " Can you help?",
    " Please advise.",
    " It is urgent.",
    " What can I do?",
)

INTENTS: dict[str, tuple[str, ...]] = {
    "card_not_delivered": (
        "my {card} has still not arrived after {wait}.",
        "I ordered a {card} {wait} ago and nothing came in the post.",
        "where is my {card}? The delivery is taking {wait}.",
        "can I track the delivery of my {card}? I ordered it {when}.",
    ),
    "card_lost": (
        "I lost my {card} {when} and cannot find it anywhere.",
        "I think I left my {card} at the {shop}, it is gone.",
        "my {card} is missing since {when}, I must have dropped it.",
        "I misplaced my {card} somewhere in {country}.",
    ),
    "card_stolen": (
        "somebody stole my {card} {when}, block it right away.",
        "my wallet was stolen in {country} with the {card} in it.",
        "a thief took my bag at the {shop} and has my {card} now.",
        "I was robbed {when} and my {card} was taken.",
    ),
    "card_broken": (
        "the chip of my {card} is damaged and no terminal reads it.",
        "my {card} snapped in half {when}, I need a replacement.",
        "the magnetic strip on my {card} is worn out.",
        "my {card} is cracked and the machine at the {shop} cannot read it.",
    ),
    "card_expiring": (
        "my {card} expires next month, will you send a new one?",
        "the expiry date on my {card} is close, what happens then?",
        "do I get a renewed {card} automatically before the old one expires?",
        "my {card} expired {when} and no renewal came.",
    ),
    "card_activation": (
        "how do I activate the {card} that came {when}?",
        "my {card} arrived, what do I need to do to activate it?",
        "activating my {card} in the app fails on my {device}.",
        "I got the {card} in the post but it is not active yet.",
    ),
    "pin_forgotten": (
        "I forgot the PIN of my {card}.",
        "I cannot remember my PIN, how do I see it again?",
        "where in the app can I look up the PIN for my {card}?",
        "I need a reminder of my PIN, I have not used the {card} for {wait}.",
    ),
    "pin_blocked": (
        "I typed the wrong PIN three times and now it is blocked.",
        "my PIN got locked at the {shop} {when}, please unblock it.",
        "too many PIN attempts, how do I unblock my {card}'s PIN?",
        "the machine says that the PIN is blocked since {when}.",
    ),
    "pin_change": (
        "how can I change my PIN to another number?",
        "I want to choose a new PIN for my {card}.",
        "is it possible to change the PIN at a cash machine in {country}?",
        "I would like to replace my PIN, I picked the old one {when}.",
    ),
    "payment_declined": (
        "my {card} was declined at the {shop} {when}.",
        "the payment of {amount} to {merchant} was declined, although I have money.",
        "why was my {card} payment refused at the {shop}?",
        "my {card} keeps being declined when I pay {merchant}.",
    ),
    "payment_pending": (
        "a payment of {amount} at the {shop} is still pending.",
        "why is my {card} payment from {when} shown as pending?",
        "{merchant} says paid, but my payment of {amount} stays pending.",
        "how long does a {card} payment stay pending? It has been {wait}.",
    ),
    "payment_not_recognised": (
        "there is a payment of {amount} that I did not make.",
        "I do not recognise a {card} payment to {merchant} {when}.",
        "an unknown purchase of {amount} at a {shop} shows in my statement, it was not me.",
        "somebody used my {card} for {amount} {when}, I never bought that.",
    ),
    "charged_twice": (
        "I was charged twice for {amount} at the {shop}.",
        "{merchant} took {amount} two times {when}.",
        "the same payment of {amount} appears double in my account.",
        "why do I see a duplicate charge from {merchant}?",
    ),
    "refund_missing": (
        "{merchant} promised a refund {wait} ago and I do not see it.",
        "where is my refund of {amount} from the {shop}?",
        "I returned the goods {when} but the refund has not reached my account.",
        "my refund from {merchant} is missing.",
    ),
    "refund_request": (
        "I want my money back for a purchase at the {shop} {when}.",
        "how do I request a refund of {amount} from {merchant}?",
        "the item I bought for {amount} never came, can you reverse the payment?",
        "please cancel the purchase from {when} and give me back {amount}.",
    ),
    "cash_declined": (
        "the cash machine refused my {card} {when}.",
        "I could not withdraw {amount} at an ATM in {country}.",
        "the ATM would not give me any cash, it declined the withdrawal.",
        "withdrawing cash with my {card} fails at every ATM.",
    ),
    "cash_wrong_amount": (
        "the ATM gave me less cash than {amount}, but charged all of it.",
        "I asked for {amount} and the cash machine dispensed the wrong amount.",
        "I received only half of the notes from the ATM {when}.",
        "my account shows {amount} withdrawn, but the machine paid out less.",
    ),
    "cash_fee": (
        "why was I charged a fee for taking cash out in {country}?",
        "is there a fee for withdrawing {amount} at a cash machine?",
        "there is an extra fee on my ATM withdrawal {when}.",
        "how many cash withdrawals are free of charge each month?",
    ),
    "card_swallowed": (
        "the ATM swallowed my {card} {when}.",
        "a cash machine in {country} kept my {card} and did not return it.",
        "the machine ate my {card}, how do I get it back?",
        "my {card} got stuck inside the cash machine {when}.",
    ),
    "exchange_rate": (
        "which exchange rate do you use for {currency}?",
        "where can I see the rate for changing {amount} into {currency}?",
        "is your exchange rate for {currency} the interbank one?",
        "how often do you update the rates for {currency}?",
    ),
    "exchange_rate_wrong": (
        "the exchange rate on my payment in {country} was wrong.",
        "you converted {amount} into {currency} at a worse rate than shown.",
        "the rate applied to my purchase in {currency} {when} is not correct.",
        "I was given a bad exchange rate for a {card} payment in {country}.",
    ),
    "currencies_supported": (
        "which currencies can I keep in my account?",
        "do you support {currency} and {currency}?",
        "can I hold {currency} in my account?",
        "is it possible to have a balance in {currency}?",
    ),
    "travel_notice": (
        "I am travelling to {country}, will my {card} work there?",
        "do I have to tell you before I use my {card} in {country}?",
        "can I use the {card} abroad, for example in {country}?",
        "in which countries does my {card} work?",
    ),
    "transfer_delayed": (
        "my transfer of {amount} to {person} has not arrived after {wait}.",
        "I sent {amount} to {person} {when} and they did not get it.",
        "how long does a bank transfer to {country} take?",
        "{person} still waits for the transfer I made {when}.",
    ),
    "transfer_failed": (
        "my transfer to {person} failed {when}, why?",
        "I cannot send {amount} to {person}, the transfer is rejected.",
        "a transfer to {country} was returned with an error.",
        "the app says transfer failed whenever I send money to {person}.",
    ),
    "transfer_cancel": (
        "I sent {amount} to the wrong account {when}, please stop it.",
        "how can I cancel a transfer to {person}?",
        "I need to recall the transfer I made {when}.",
        "cancel my transfer of {amount}, I used the wrong account number.",
    ),
    "transfer_fee": (
        "why did I pay a fee for my transfer to {country}?",
        "how much do you charge for sending {amount} to {country}?",
        "there is an unexpected fee on the transfer to {person}.",
        "are transfers in {currency} free?",
    ),
    "topup_failed": (
        "my top-up of {amount} did not go through.",
        "topping up with my {card} was rejected {when}.",
        "I tried to add {amount} to my balance and the top-up failed.",
        "why does the top-up from my {device} fail every time?",
    ),
    "topup_limit": (
        "how much can I top up in one month?",
        "is there a limit for top-ups? I want to add {amount} every day.",
        "I have reached the top-up limit, can it be raised?",
        "what is the maximum top-up with a {card}?",
    ),
    "topup_automatic": (
        "can my balance be topped up automatically when it is low?",
        "how do I set up an automatic top-up of {amount}?",
        "please explain the auto top-up, I found it {when}.",
        "I want to switch off automatic top-ups.",
    ),
    "identity_check": (
        "why do you need to verify my identity?",
        "my identity check has been open for {wait}.",
        "the app does not accept the photo of my passport from {country}.",
        "which documents do I need to prove who I am?",
    ),
    "login_problem": (
        "I cannot log in on my {device} since {when}.",
        "the app does not accept my passcode any more.",
        "I forgot my password and cannot sign in on my {device}.",
        "logging in fails on the {device}, the code never comes.",
    ),
    "change_details": (
        "I moved to {country}, how do I change my address?",
        "I got married and need to change my last name in the account.",
        "how do I update the phone number of my account? I have a new {device}.",
        "where do I edit my personal details and my address?",
    ),
    "close_account": (
        "I want to close my account.",
        "how do I delete my account and get {amount} paid out?",
        "please terminate my account, I am moving to {country}.",
        "I am not happy with the service since {when}, close everything.",
    ),
}


def tickets(count: int, seed: str) -> Iterator[tuple[str, str]]:
    """`count` distinct (text, intent) pairs, the intents equally often; the same for the same seed."""
    random = Random(f"assay/grammar/{seed}")
    intents = list(INTENTS)
    texts: set[str] = set()
    for number in range(count):
        intent = intents[number % len(intents)]
        while (text := _sentence(intent, random)) in texts:
            pass
        texts.add(text)
        yield text, intent


def _sentence(intent: str, random: Random) -> str:
    template = random.choice(INTENTS[intent])
    while "{" in template:
        before, _, rest = template.partition("{")
        slot, _, after = rest.partition("}")
        template = before + random.choice(SLOTS[slot]) + after
    opening = random.choice(OPENINGS)
    if not opening.endswith((", ", ": ")):
        template = template[0].upper() + template[1:]
    return opening + template + random.choice(CLOSINGS)

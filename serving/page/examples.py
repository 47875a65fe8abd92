"""Invented example texts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Example:
    """A text with a short title."""

    title: str
    text: str


EXAMPLES = {
    "harbour": Example(
        "A harbour deal",
        "Nordwind Shipping has agreed to buy two terminals in Rotterdam, its chairwoman Ingrid Halvorsen said in Oslo "
        "on Tuesday.\nThe Dutch port authority and Banco Miradouro will lend half of the price; analyst Tomás Arroyo "
        "of Keel & Partners called the deal “bold, and long overdue”.",
    ),
    "match": Example(
        "A cup match",
        "Marta Oliveira scored twice as Porto Atlético beat Dynamo Lakeside 3-1 in the quarter-final of the "
        "Meridian Cup.\nCoach Emil Brandt, who left Vienna last spring, praised the Portuguese forward.",
    ),
    "post": Example(
        "A short post",
        "omg just met Lena Fairweather at the Brightwave booth in Austin 😍 next stop: Lisbon!! #PixelFest",
    ),
    "museum": Example(
        "Новый музей",
        "Директор музея «Северный свет» Анна Ветрова рассказала, что новое здание откроют в Архангельске в сентябре.\n"
        "Проект подготовило бюро «Линия», а министр культуры Павел Озёрный пообещал приехать на открытие из Москвы.",
    ),
    "bank": Example(
        "Сделка банка",
        "Банк «Волжский берег» купит долю в компании Nordwind Shipping, сообщил в Самаре его председатель "
        "Игорь Мельниченко.\nСделку ещё должны одобрить власти Норвегии и Европейская комиссия.",
    ),
}

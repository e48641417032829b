"""Short client reviews in English and Chinese, put together from our own phrases (section Contacts, Reviews).

A review has a latent sentiment that correlates with satisfaction; its fifth decides the phrases and, for half
of the reviews, the stars.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from pipeline.studies.reference.columns import Table, optional
from pipeline.studies.reference.tables import Extract

# Phrases by language, part and sentiment from worst (first) to best (last).
PHRASES = {
    "en": {
        "opening": (
            ("Very disappointed.", "I regret borrowing here.", "Terrible experience."),
            ("Not what I hoped for.", "Below expectations.", "Could be much better."),
            ("It is acceptable.", "Average lender.", "Nothing special."),
            ("Good overall.", "I am pleased.", "A decent experience."),
            ("Excellent service.", "I am delighted.", "The best lender I have used."),
        ),
        "service": (
            ("Nobody ever answers the phone.", "Staff were rude and careless.", "My questions were ignored."),
            ("I waited too long for replies.", "The adviser seemed unprepared.", "Help came late."),
            (
                "The adviser answered in a few days.",
                "Service was neither fast nor slow.",
                "Staff did their job.",
            ),
            ("The adviser was friendly.", "My questions were answered quickly.", "Staff listened to me."),
            (
                "My adviser called before I had to ask.",
                "They really understood my situation.",
                "Every step was explained with care.",
            ),
        ),
        "closing": (
            ("I will never come back.", "Stay away.", "I filed a complaint."),
            ("I may look elsewhere next time.", "The fees were not clear.", "I would think twice."),
            ("The rate is about the market.", "Paperwork took a while.", "No strong opinion."),
            ("I would borrow here again.", "The terms were clear.", "Repayment is easy to manage."),
            ("I recommend them to my friends.", "I trust them completely.", "I will stay for years."),
        ),
    },
    "zh": {
        "opening": (
            ("非常失望。", "后悔在这里贷款。", "体验很糟糕。"),
            ("不太满意。", "低于预期。", "还有很多地方要改进。"),
            ("还可以。", "一般般。", "没有什么特别的。"),
            ("总体不错。", "比较满意。", "体验挺好。"),
            ("服务非常好。", "十分满意。", "这是我用过最好的贷款机构。"),
        ),
        "service": (
            ("电话永远没人接。", "工作人员态度恶劣。", "我的问题没人理。"),
            ("回复太慢了。", "客户经理不太专业。", "等了很久才有人帮忙。"),
            ("几天后得到了答复。", "服务速度中等。", "工作人员按流程办事。"),
            ("客户经理很友好。", "问题很快得到解答。", "工作人员愿意倾听。"),
            ("客户经理主动联系我。", "他们真正了解我的情况。", "每一步都讲解得很清楚。"),
        ),
        "closing": (
            ("再也不会来了。", "劝大家不要选。", "已经投诉了。"),
            ("下次可能换一家。", "费用说明不清楚。", "建议多比较。"),
            ("利率和市场差不多。", "手续花了些时间。", "没什么特别的看法。"),
            ("以后还会考虑。", "条款清楚。", "还款很方便。"),
            ("会推荐给朋友。", "完全信任他们。", "会长期合作。"),
        ),
    },
}


def reviews(extract: Extract) -> Table:
    """One row per review: date, language, text, and stars (1 to 5) for half of them."""
    s, loans = extract.settings, len(extract.loans)
    draws = extract.stream("reviews")
    spread = (s.satisfaction_hidden**2 + s.satisfaction_branch**2 + s.satisfaction_noise**2) ** 0.5
    standard = (extract.course.satisfaction - s.satisfaction_level[1]) / spread
    r = s.review_correlation
    sentiment = r * standard + (1 - r**2) ** 0.5 * draws.normal(size=loans)
    level = np.searchsorted([NormalDist().inv_cdf(k / 5) for k in (1, 2, 3, 4)], sentiment)
    writes = draws.random(loans) < s.review_share
    chinese = draws.random(loans) < s.review_chinese
    rated = draws.random(loans) < s.review_rated
    # Real texts waver: now and then a phrase belongs to a neighbouring level.
    drift = draws.choice([-1, 0, 1], p=[0.1, 0.8, 0.1], size=(3, loans))
    phrase = draws.integers(0, 3, (3, loans))
    month, day = draws.integers(1, 13, loans), draws.integers(0, 28, loans)
    levels = np.clip(level + drift, 0, 4)

    rows = np.flatnonzero(writes)
    texts = np.empty(len(rows), dtype=object)
    for place, row in enumerate(rows):
        parts = PHRASES["zh" if chinese[row] else "en"]
        words = [choices[levels[part, row]][phrase[part, row]] for part, choices in enumerate(parts.values())]
        texts[place] = ("" if chinese[row] else " ").join(words)
    client = extract.client_id[extract.loans][rows]
    return {
        "review_id": client + 20_000_000_000,
        "client_id": client,
        "review_date": extract.date(extract.granted.month + month, day)[rows],
        "language": np.where(chinese, "zh", "en").astype(object)[rows],
        "text": texts,
        "stars": optional((level + 1)[rows], rated[rows]),
    }

"""Letters as names and states are compared: without accents, and traditional Chinese as simplified."""

from __future__ import annotations

import unicodedata

_TRADITIONAL = (
    "萬業個為於產從價會餘來債償寫況凈凖創刪別動區單號員響國場壞執報處複無學實審對專屬歲幣幫庫應廳開當錄後復憶總態懷戶"
    "擔據擇損數時機條構檢歐氣沒測濟營獎狀現畢監蓋盤確種稱稅積筆簽類約級組經結給統續編網罰聯職腦臨補規視覺覽計訂記訊訪"
    "設許評訴詢試話該詳認語誠說請諾調負財貨責貸費資賬購質賴趕車軟輕輸辦農連進運過還達遲選遺釋裡鐘錢銀銷錯長門間關險陸"
    "隨雙難電項順預領頭題額願風驗麼齡銳壓獲節範繳縣滿潤帳參與決貳陳館體圖團圍塊勞勝勵協衛製較繫聲聞廠寶讓訓證識譽贈濱"
    "違內點歷務億頻溝觸係緒脹標層徵週壽絡賃療勛權訟納適熱緊擬遷籌幾縮屆階須頁韓魚鄉鎮劃劑劇匯噸牆墊夠奪婦孫寧尋導島嶼"
    "廢彈徹恆惡惱慮懲戰戲擁攜攝敗敵斷暫"
)
_SIMPLIFIED = (
    "万业个为于产从价会余来债偿写况净准创删别动区单号员响国场坏执报处复无学实审对专属岁币帮库应厅开当录后复忆总态怀户"
    "担据择损数时机条构检欧气没测济营奖状现毕监盖盘确种称税积笔签类约级组经结给统续编网罚联职脑临补规视觉览计订记讯访"
    "设许评诉询试话该详认语诚说请诺调负财货责贷费资账购质赖赶车软轻输办农连进运过还达迟选遗释里钟钱银销错长门间关险陆"
    "随双难电项顺预领头题额愿风验么龄锐压获节范缴县满润账参与决贰陈馆体图团围块劳胜励协卫制较系声闻厂宝让训证识誉赠滨"
    "违内点历务亿频沟触系绪胀标层征周寿络赁疗勋权讼纳适热紧拟迁筹几缩届阶须页韩鱼乡镇划剂剧汇吨墙垫够夺妇孙宁寻导岛屿"
    "废弹彻恒恶恼虑惩战戏拥携摄败敌断暂"
)
# Letters with a stroke have no accent that could be taken off.
_TO_SIMPLIFIED = str.maketrans(_TRADITIONAL + "łøđħı", _SIMPLIFIED + "lodhi")


def plain(text: str) -> str:
    """Return a text in small letters without accents and in simplified Chinese, full-width forms made plain.

    >>> plain("Ｅn Défaut"), plain("貸款金額")
    ('en defaut', '贷款金额')
    """
    taken = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", str(text)).lower())
    bare = "".join(one for one in taken if unicodedata.category(one) != "Mn")
    return unicodedata.normalize("NFC", bare).translate(_TO_SIMPLIFIED)

"""How common Chinese characters are typed in letters (pinyin without tones), and so which are mistaken for each other.

A character with several readings has its commonest one here. Sets of data with their own confusions add to these.
"""

from __future__ import annotations

_TABLE = """
a 啊阿|ai 爱哎挨|an 安按岸暗|ba 吧把八爸吧|bai 白百拜|ban 半办班般|bang 帮棒|bao 包报宝饱抱|bei 被北杯背备|ben 本笨
bi 比笔必毕|bian 边便变|biao 表|bie 别|bing 病冰并|bu 不步部布|cai 才菜猜彩|can 参餐|cha 差茶查|chang 长常场唱厂
chao 超吵朝|che 车|chen 陈晨沉|cheng 成城程称|chi 吃迟持|chong 重冲充|chu 出处初除|chuan 穿船传|chuang 床窗|chun 春
ci 次词此|cong 从聪|cuo 错|da 大打达答|dai 带待代戴|dan 但单担蛋|dang 当|dao 到道倒|de 的得地德|deng 等灯|di 第弟低底
dian 点电店|diao 掉调|ding 定顶订|dong 东懂动冬|dou 都|du 读度独|duan 段短断|dui 对队|duo 多|e 饿|er 二而儿耳|fa 发法
fan 饭反烦翻|fang 放方房防|fei 非飞费|fen 分份|feng 风封丰|fu 父夫服付负复福|gai 该改|gan 干感敢赶|gang 刚|gao 高告搞
ge 个哥歌各|gei 给|gen 跟根|geng 更|gong 工公功共|gou 够狗|gu 古故姑|gua 挂|guai 怪乖|guan 关管馆|guang 光|gui 贵鬼
guo 过国果|hai 还海孩害|han 汉汗喊|hao 好号|he 和喝何合河|hei 黑|hen 很恨|hong 红|hou 后候|hu 湖忽互护|hua 话花画化
huai 坏怀|huan 换欢环|huang 黄|hui 回会汇|huo 火或活货|ji 几机己记急鸡级继计极|jia 家加假价|jian 见间件建简健
jiang 将讲江|jiao 叫教觉交脚角|jie 姐接节街结解借|jin 今进近金紧|jing 经京静精睛|jiu 就九久酒旧|ju 句局举|juan 卷
jue 决|jun 军|ka 卡咖|kai 开|kan 看|kao 考靠|ke 可课客科刻克|kong 空恐|kou 口|ku 哭苦裤|kuai 快块|kun 困|la 啦拉
lai 来|lan 蓝懒篮|lao 老|le 了乐|lei 累类泪|leng 冷|li 里力李离理利立|lian 连脸练|liang 两凉亮辆|liao 聊料|lin 林
ling 零另领|liu 六留流|long 龙|lou 楼|lu 路录绿|lv 旅律|ma 吗妈马嘛骂|mai 买卖|man 满慢|mang 忙|mao 猫毛|me 么
mei 没美每妹|men 们门|meng 梦|mi 米密|mian 面免|ming 明名|mo 末默|mu 母目木|na 那哪拿|nai 奶|nan 难南男|nao 脑闹|ne 呢
nei 内|neng 能|ni 你尼|nian 年念|niang 娘|niu 牛|nong 弄农|nv 女|o 哦|pa 怕爬|pai 拍派|pan 盘|pang 旁胖|pao 跑泡
pei 陪配|peng 朋碰|pi 皮|pian 片便|piao 票漂|pin 品|ping 平瓶苹|po 破|qi 起七气期其奇骑器|qian 前钱千|qiang 强
qiao 桥巧|qie 切且|qin 亲|qing 请情清轻晴|qiu 求球秋|qu 去取区趣|quan 全|que 却确|ran 然|rang 让|re 热|ren 人认|ri 日
rong 容|rou 肉|ru 如入|san 三伞散|se 色|sha 啥沙杀|shan 山|shang 上商伤|shao 少烧|she 谁社|shei 谁|shen 什身深神
sheng 生声省|shi 是时事十使师试市式室世视识始适|shou 手收受首|shu 书数树输舒|shua 刷|shuai 帅|shui 水睡税|shun 顺
shuo 说|si 四死思司|song 送|su 速诉|suan 算酸|sui 岁虽随|suo 所锁|ta 他她它|tai 太台|tan 谈|tang 汤糖躺|tao 套讨|te 特
teng 疼|ti 题体提|tian 天田甜|tiao 条跳|tie 铁|ting 听停|tong 同通痛|tou 头|tu 图土|tui 推腿|wa 哇|wai 外
wan 完晚玩万碗|wang 往忘网望王|wei 为位喂味未|wen 问文温|wo 我握|wu 五无午物屋误|xi 西洗喜习系息希|xia 下夏吓
xian 先现线县|xiang 想向像香相箱|xiao 小笑校消晓|xie 写些谢鞋|xin 心新信辛|xing 行星性姓醒|xiong 兄|xiu 休修|xu 需许须
xue 学雪|ya 呀牙|yan 眼言烟严|yang 样阳羊养|yao 要药|ye 也夜业叶|yi 一以已意医亦衣易宜|yin 因音银|ying 应英影赢迎
yong 用永|you 有又友右油游由|yu 雨鱼语于遇预|yuan 远院员原元园|yue 月越约乐|yun 云运|za 杂|zai 在再载|zan 咱|zao 早造
ze 责|zen 怎|zeng 增|zha 炸|zhan 站|zhang 张章|zhao 找着照|zhe 这者|zhen 真|zheng 正整证|zhi 只知之直指纸至
zhong 中种钟终|zhou 周|zhu 住主祝猪注|zhuan 转|zhuang 装|zhun 准|zhuo 桌|zi 子自字|zong 总|zou 走|zu 足租组|zui 最嘴
zuo 做作坐昨左座
"""


def _readings() -> dict[str, str]:
    found: dict[str, str] = {}
    for entry in _TABLE.replace("\n", "|").split("|"):
        if entry:
            letters, characters = entry.split(" ")
            for character in characters:
                found.setdefault(character, letters)
    return found


def _confusions() -> dict[str, str]:
    same: dict[str, str] = {}
    for character, letters in READINGS.items():
        same[letters] = same.get(letters, "") + character
    return {
        character: same[letters].replace(character, "")
        for character, letters in READINGS.items()
        if len(same[letters]) > 1
    }


READINGS = _readings()
"""Character -> the letters it is typed with."""

CONFUSIONS = _confusions()
"""Character -> others that are typed with the same letters."""
